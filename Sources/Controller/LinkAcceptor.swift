import HTTP
import Model

/// Makes drones' WebSockets into the controller's links.
final class LinkAcceptor {
    /// The WebSocket as the controller sends on it.
    private final class Socket: DroneSocket {
        private let connection: WebSocketConnection

        init(_ connection: WebSocketConnection) { self.connection = connection }

        func send(_ message: ControllerMessage) { connection.send(LinkCoding.text(of: message)) }

        func close(_ reason: String) {
            // A close frame holds 123 bytes of reason. RFC 6455 section 5.5.
            connection.close(.policyViolation, reason: String(decoding: reason.utf8.prefix(120), as: UTF8.self))
        }
    }

    private unowned let controller: Controller

    init(_ controller: Controller) { self.controller = controller }

    /// Takes a drone's WebSocket. - Parameter owner: the drone whose secret came with it; nil where none is asked for.
    func accept(_ cluster: ClusterName, _ responder: Responder, owner: DroneName?) {
        var options = WebSocketOptions()
        options.messageByteCountMax = ControllerConfiguration.linkMessageBytesMax
        options.pingInterval = ControllerConfiguration.linkPingInterval
        options.silenceLimit = ControllerConfiguration.linkSilenceLimit
        guard let connection = responder.acceptWebSocket(options) else { return }
        let link = controller.linkOpened(cluster, Socket(connection), owner: owner)
        connection.onClose = { [weak controller] end in controller?.linkClosed(link, reason: "\(end)") }
        connection.onText = { [weak controller] text in
            guard let controller else { return }
            if let message = LinkCoding.message(from: text) {
                controller.linkReceived(link, message)
            } else {
                controller.linkBroken(link)
            }
        }
    }
}
