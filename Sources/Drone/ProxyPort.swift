package import Proxy

/// What the drone needs of its proxy.
package struct ProxyPort {
    /// Tells all threads.
    package let send: (ProxyCommand) -> Void
    /// Hands one thread sockets of a backend, which become the proxy's.
    package let giveSockets: (_ descriptors: [Int32], _ backend: String, _ thread: Int) -> Void

    /// - Parameters: as the properties say.
    package init(
        send: @escaping (ProxyCommand) -> Void,
        giveSockets: @escaping (_ descriptors: [Int32], _ backend: String, _ thread: Int) -> Void
    ) {
        self.send = send
        self.giveSockets = giveSockets
    }
}
