/// An error answer of the controller's API.
public struct APIError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// What went wrong, as programs tell cases apart.
    public enum Kind: String, Codable, CaseIterable, Sendable {
        case failedToAcquireKey = "FailedToAcquireKey"
        case keyUnheldNoSpawnConfig = "KeyUnheldNoSpawnConfig"
        case keyHeld = "KeyHeld"
        case keyHeldUnhealthy = "KeyHeldUnhealthy"
        case noDroneAvailable = "NoDroneAvailable"
        case failedToRemoveKey = "FailedToRemoveKey"
        case noClusterProvided = "NoClusterProvided"
        case notFound = "NotFound"
        case invalidClusterName = "InvalidClusterName"
        case other = "Other"
        /// Added: the request itself is wrong, and the message names the field. The reference answers plain text for
        /// some of these and 500 for others; here every one has this kind and the reference's status where it has one.
        case invalidRequest = "InvalidRequest"
        /// Added: the caller did not show who it is, or may not do this. The reference answers plain text.
        case unauthorized = "Unauthorized"

        /// The HTTP status of the kind. InvalidRequest's depends on the cause; this is its usual one.
        public var httpStatus: Int {
            switch self {
            case .keyUnheldNoSpawnConfig, .keyHeld, .failedToRemoveKey: 409
            case .noClusterProvided, .invalidClusterName, .invalidRequest: 400
            case .unauthorized: 401
            case .notFound: 404
            // The reference declares KeyHeldUnhealthy as 500 and never sends it. It is a matter of waiting: 503.
            case .keyHeldUnhealthy: 503
            case .failedToAcquireKey, .noDroneAvailable, .other: 500
            }
        }
    }

    /// Also in the controller's log, so that the two can be brought together.
    public var id: String
    /// What went wrong.
    public var kind: Kind
    /// A sentence for a person, with the field and the next step where there is one.
    public var message: String

    /// - Parameters:
    ///   - id: 14 random characters.
    ///   - kind: what went wrong.
    ///   - message: a sentence.
    public init(id: String, kind: Kind, message: String) {
        self.id = id
        self.kind = kind
        self.message = message
    }

    public var description: String { "\(kind.rawValue): \(message) (error \(id))" }
}
