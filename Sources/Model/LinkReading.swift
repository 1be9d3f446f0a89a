extension DroneMessage {
    /// Reads the message that comes most often, a state of a backend that is on its way up, without a decoder; nil when it
    /// is anything else, which a decoder then reads. - Parameter text: one frame.
    public init?(plainState text: String) {
        guard text.hasPrefix("{\"state\":"), let json = try? JSONValue(parsing: Array(text.utf8)),
            let members = json.members?["state"]?.members, members.count == 3,
            case .string(let backend)? = members["backend"], case .integer(let token)? = members["fencingToken"],
            let state = members["state"]?.members, state.count == 1, case .string(let word)? = state["status"],
            let status = BackendStatus(rawValue: word)
        else { return nil }
        self = .state(backend: backend, fencingToken: token, state: BackendState(status))
    }
}
