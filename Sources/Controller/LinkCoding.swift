import Model

/// The frames of the drone link: JSON, one message each.
enum LinkCoding {
    /// What is sent to a drone.
    static func text(of message: ControllerMessage) -> String {
        message.jsonBytes.map { String(decoding: $0, as: UTF8.self) } ?? JSONText.text(of: message)
    }

    /// What a drone sent; nil when it is not a message of the link.
    static func message(from text: String) -> DroneMessage? {
        DroneMessage(plainState: text) ?? JSONText.value(DroneMessage.self, from: text)
    }
}
