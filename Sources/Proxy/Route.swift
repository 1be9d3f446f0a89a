/// Where one token leads, and what the backend is told about whoever uses it.
public struct Route: Sendable {
    /// Whether the token belongs to one connect call or to the backend. They differ in what reaches the backend.
    public enum Kind: Sendable {
        /// Its path segment is removed. Path `/tok/a` reaches the backend as `/a`.
        case dynamic
        /// The path stays as it is, and no user data is sent.
        case fixed
    }

    /// The token, as it stands in the path: 1–128 of letters, digits, `-`, `_` and `.`.
    public let token: String
    /// The backend's id.
    public let backend: String
    /// What kind of token it is.
    public let kind: Kind
    /// The cluster whose host names may be used, `host` or `host:port`.
    public let cluster: String
    /// The label that must stand before the cluster's name; nil accepts any or none.
    public let subdomain: String?
    /// Until when it may be used, CLOCK_BOOTTIME nanoseconds; `UInt64.max` for as long as the backend lives.
    public let expiresAtNanoseconds: UInt64
    /// The fields that tell the backend who is asking, each with its line end.
    let fieldBlock: [UInt8]

    /// Why a route cannot be made.
    public struct Invalid: Error, Equatable, CustomStringConvertible {
        /// A sentence for a person.
        public let description: String
    }

    /// What the backend is told with every request.
    public struct Identity: Sendable {
        /// `x-verified-username`; left out if nil.
        public var username: String?
        /// `x-verified-user-data`, compact JSON; only sent for dynamic tokens, `{}` if nil.
        public var userData: String?
        /// `x-verified-secret`; empty if nil.
        public var secret: String?
        /// `x-plane-fencing-token`: the lease under which the backend runs.
        public var fencingToken: Int64?

        /// - Parameters: as the properties say.
        public init(
            username: String? = nil, userData: String? = nil, secret: String? = nil, fencingToken: Int64? = nil
        ) {
            self.username = username
            self.userData = userData
            self.secret = secret
            self.fencingToken = fencingToken
        }
    }

    /// Builds the fields once, so that a request copies them and decides nothing.
    ///
    /// Bytes that a field value may not hold are encoded instead of dropping the field: JSON gets `\u` escapes, and a user
    /// name gets percent escapes and `x-verified-username-encoding: percent` beside it.
    public init(
        token: String, backend: String, kind: Kind, cluster: String, subdomain: String? = nil,
        expiresAtNanoseconds: UInt64 = .max, identity: Identity
    ) throws(Invalid) {
        guard token.utf8.count <= TokenText.maximumCount, !token.isEmpty, token.utf8.allSatisfy(TokenText.isAllowed)
        else { throw Invalid(description: "A token must be 1 to 128 letters, digits, dashes, underscores or dots.") }
        guard backend.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), !backend.isEmpty else {
            throw Invalid(description: "A backend id must be visible ASCII.")
        }
        self.token = token
        self.backend = backend
        self.kind = kind
        self.cluster = cluster
        self.subdomain = subdomain
        self.expiresAtNanoseconds = expiresAtNanoseconds
        fieldBlock = Self.fields(backend, kind, identity)
        guard fieldBlock.count <= Route.fieldBlockLimit else {
            throw Invalid(description: "The user data of a token is longer than 32 KiB; no backend would accept it.")
        }
    }

    /// Bytes of all fields that one token adds.
    static let fieldBlockLimit = 32 * 1024

    private static func fields(_ backend: String, _ kind: Kind, _ identity: Identity) -> [UInt8] {
        var block: [UInt8] = []
        func add(_ name: String, _ value: [UInt8]) {
            block += Array(name.utf8)
            block += [0x3A, 0x20]
            block += value
            block += [0x0D, 0x0A]
        }
        if let username = identity.username {
            if isFieldText(username) {
                add("x-verified-username", Array(username.utf8))
            } else {
                add("x-verified-username", percentEncoded(username))
                add("x-verified-username-encoding", Array("percent".utf8))
            }
        }
        if kind == .dynamic { add("x-verified-user-data", asciiJSON(identity.userData ?? "{}")) }
        add("x-verified-backend", Array(backend.utf8))
        let secret = identity.secret ?? ""
        add("x-verified-secret", isFieldText(secret) ? Array(secret.utf8) : percentEncoded(secret))
        if let token = identity.fencingToken { add("x-plane-fencing-token", Array(String(token).utf8)) }
        return block
    }

    private static func isFieldText(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } && text.utf8.first != 0x20 && text.utf8.last != 0x20
    }

    private static func percentEncoded(_ text: String) -> [UInt8] {
        text.utf8.flatMap { byte -> [UInt8] in
            if byte > 0x20, byte < 0x7F, byte != 0x25 { return [byte] }
            return [0x25, hexDigit(byte >> 4), hexDigit(byte & 15)]
        }
    }

    /// In JSON everything that is not visible ASCII can only stand inside a string, or be white space between values.
    private static func asciiJSON(_ text: String) -> [UInt8] {
        text.utf16.flatMap { unit -> [UInt8] in
            if unit >= 0x20, unit < 0x7F { return [UInt8(unit)] }
            if unit < 0x20 { return [0x20] }
            let digits = [unit >> 12, unit >> 8 & 15, unit >> 4 & 15, unit & 15]
            return [0x5C, 0x75] + digits.map { hexDigit(UInt8($0)) }
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x41 + value - 10 }
}

/// Which bytes a token is made of.
enum TokenText {
    static let maximumCount = 128

    @inline(__always)
    static func isAllowed(_ byte: UInt8) -> Bool {
        let letter = (byte | 0x20) &- 0x61
        return letter < 26 || byte &- 0x30 < 10 || byte == 0x2D || byte == 0x5F || byte == 0x2E
    }

    static func isToken(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count > 0, bytes.count <= maximumCount else { return false }
        for byte in bytes where !isAllowed(byte) { return false }
        return true
    }
}
