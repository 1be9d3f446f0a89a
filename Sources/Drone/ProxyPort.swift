import Linux
import Proxy

/// What the drone needs of its proxy.
struct ProxyPort {
    /// Tells all threads.
    let send: (ProxyCommand) -> Void
    /// Hands one thread sockets of a backend, which become the proxy's.
    let giveSockets: (_ descriptors: [Int32], _ backend: String, _ thread: Int) -> Void
}
