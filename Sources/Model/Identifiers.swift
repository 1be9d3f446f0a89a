/// A name that was not taken, with the field it was in and what would be.
public struct InvalidValue: Error, Equatable, CustomStringConvertible {
    /// The field's path, for example `key.name`.
    public let field: String
    /// What is wrong and what would be right, as the rest of a sentence that begins with the field.
    public let problem: String

    /// - Parameters:
    ///   - field: path of the field as the sender knows it.
    ///   - problem: the rest of the sentence.
    public init(field: String, problem: String) {
        self.field = field
        self.problem = problem
    }

    public var description: String { "\(field): \(problem)" }
}

/// Names a backend for its whole life, and for ever in the status history.
public struct BackendID: Hashable, Sendable, CustomStringConvertible {
    /// Letters, digits and dashes in lower case, 1–45 of them.
    public let text: String

    /// Checks a name that came from outside. Unlike the reference, JSON is held to the same rule as the command line:
    /// there a bad id was stored and later made status requests fail.
    public init(_ text: String, field: String = "id") throws(InvalidValue) {
        self.text = try Name.checked(text, field: field)
    }

    /// A fresh name of 14 random characters. - Parameter random: at least 14 random bytes.
    public init(random: [UInt8]) { text = Name.random(random, count: 14) }

    public var description: String { text }
}

/// Names a drone. Prefix `dr`.
public struct DroneName: Hashable, Sendable, CustomStringConvertible {
    /// As for every name: lower case, digits and dashes, 1–45.
    public let text: String

    /// Checks a name that came from outside.
    public init(_ text: String, field: String = "name") throws(InvalidValue) {
        let name = try Name.checked(text, field: field)
        guard name.hasPrefix("dr") else {
            throw InvalidValue(field: field, problem: "\"\(text)\" does not begin with \"dr\", as a drone's name does")
        }
        self.text = name
    }

    /// A fresh name. - Parameter random: at least 14 random bytes.
    public init(random: [UInt8]) { text = "dr-" + Name.random(random, count: 14) }

    public var description: String { text }
}

/// Names an image: a folder of that name below the images folder.
public struct ImageName: Hashable, Sendable, CustomStringConvertible {
    /// Letters, digits, dot, dash and underscore, 1–64, not beginning with a dot or dash: safe as a file name.
    public let text: String

    /// Checks a name that came from outside.
    public init(_ text: String, field: String = "image") throws(InvalidValue) {
        let allowed = text.utf8.allSatisfy { Name.isLowerOrDigit($0) || $0 == 45 || $0 == 46 || $0 == 95 }
        let first = text.utf8.first
        guard allowed, let first, first != 45, first != 46, text.utf8.count <= 64 else {
            throw InvalidValue(
                field: field,
                problem: "\"\(text.prefix(80))\" is not an image name; use 1 to 64 of a-z 0-9 . - _, "
                    + "beginning with a letter, a digit or _")
        }
        self.text = text
    }

    public var description: String { text }
}

/// A cluster: the public host name, with a port where it is not 443, that leads to its proxies.
public struct ClusterName: Hashable, Sendable, CustomStringConvertible {
    /// `host` or `host:port`.
    public let text: String

    /// Checks a name that came from outside.
    public init(_ text: String, field: String = "cluster") throws(InvalidValue) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let host = parts[0]
        let hostIsGood =
            (1...253).contains(host.utf8.count)
            && host.utf8.allSatisfy { Name.isLowerOrDigit($0) || (65...90).contains($0) || $0 == 45 || $0 == 46 }
        let portIsGood = parts.count == 1 || (parts.count == 2 && UInt16(parts[1]).map { $0 > 0 } == true)
        guard hostIsGood, portIsGood else {
            throw InvalidValue(field: field, problem: "\"\(text.prefix(80))\" is not HOST or HOST:PORT")
        }
        self.text = text
    }

    /// `https` when the name has no port or port 443, else `http`, as the reference does.
    public var scheme: String {
        guard let colon = text.lastIndex(of: ":") else { return "https" }
        return text[text.index(after: colon)...] == "443" ? "https" : "http"
    }

    public var description: String { text }
}

/// A secret that leads to one backend through the proxy.
public struct BearerToken: Hashable, Sendable, CustomStringConvertible {
    /// 32 random bytes in base64url without padding, 43 characters; a static token begins with `s.`.
    public let text: String

    /// Checks a token from outside: 1–64 characters of base64url, optionally after `s.`.
    public init?(_ text: String) {
        let body = text.hasPrefix("s.") ? text.dropFirst(2) : text[...]
        let good = body.utf8.allSatisfy {
            Name.isLowerOrDigit($0) || (65...90).contains($0) || $0 == 45 || $0 == 95
        }
        guard good, (1...64).contains(body.utf8.count) else { return nil }
        self.text = text
    }

    /// - Parameters:
    ///   - random: 32 random bytes.
    ///   - kind: whether every connect gets its own, or the backend has one.
    public init(random: [UInt8], kind: Kind = .dynamic) {
        precondition(random.count == 32, "a token is 32 random bytes")
        text = (kind == .fixed ? "s." : "") + Name.base64URL(random)
    }

    /// Whom a token belongs to.
    public enum Kind: Sendable {
        /// One connect call.
        case dynamic
        /// The backend: every connect answers the same one (`use_static_token`).
        case fixed
    }

    /// Whom it belongs to, by its form.
    public var kind: Kind { text.hasPrefix("s.") ? .fixed : .dynamic }

    /// Hides the secret, so that it does not get into a log by accident.
    public var description: String { "\(text.prefix(4))…" }
}

/// Strictly increasing for each key, for ever; from a persisted sequence, never from a clock.
public struct FencingToken: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// 1 or more.
    public let value: Int64
    /// - Parameter value: as read from the store's sequence.
    public init(_ value: Int64) { self.value = value }
    public static func < (a: FencingToken, b: FencingToken) -> Bool { a.value < b.value }
    public var description: String { String(value) }
}

/// One lease of a drone: from the hello that began it until it was concluded. From a persisted sequence, never a clock.
///
/// A backend is placed under a session, and only if that session still is the drone's in the very transaction that
/// places it: nothing can be promised to a drone whose keys were already given away.
public struct SessionNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// 1 or more.
    public let value: Int64
    /// - Parameter value: as read from the store's sequence.
    public init(_ value: Int64) { self.value = value }
    public static func < (a: SessionNumber, b: SessionNumber) -> Bool { a.value < b.value }
    public var description: String { String(value) }
}

/// Names one run of a controller: `co-` and 14 random characters, new with each start.
public struct ControllerName: Hashable, Sendable, CustomStringConvertible {
    /// As for every name: lower case, digits and dashes, 1–45.
    public let text: String

    /// Checks a name that was stored.
    public init(_ text: String, field: String = "controller") throws(InvalidValue) {
        self.text = try Name.checked(text, field: field)
    }

    /// A fresh name. - Parameter random: at least 14 random bytes.
    public init(random: [UInt8]) { text = "co-" + Name.random(random, count: 14) }

    public var description: String { text }
}

/// Which set of sandboxes a drone speaks for: one boot of one machine, and one warden's state folder on it.
///
/// Two drones of one name are the same drone only if this is equal. Then what one of them does not list does not exist.
/// If it differs, sandboxes may run where the newcomer cannot see them, until their lease's deadline.
public struct MachineIdentity: Hashable, Sendable, CustomStringConvertible {
    /// 1–128 of a-z, 0-9 and -.
    public let text: String

    /// Checks what came from outside.
    public init(_ text: String, field: String = "machine") throws(InvalidValue) {
        guard (1...128).contains(text.utf8.count), text.utf8.allSatisfy({ Name.isLowerOrDigit($0) || $0 == 45 }) else {
            throw InvalidValue(
                field: field, problem: "\"\(text.prefix(80))\" is not an identity; use 1 to 128 of a-z, 0-9 and -")
        }
        self.text = text
    }

    public var description: String { text }
}

/// The rules that names share.
enum Name {
    static func isLowerOrDigit(_ byte: UInt8) -> Bool { (97...122).contains(byte) || (48...57).contains(byte) }

    static func checked(_ text: String, field: String) throws(InvalidValue) -> String {
        guard (1...45).contains(text.utf8.count), text.utf8.allSatisfy({ isLowerOrDigit($0) || $0 == 45 }) else {
            throw InvalidValue(
                field: field, problem: "\"\(text.prefix(80))\" is not a name; use 1 to 45 of a-z, 0-9 and -")
        }
        return text
    }

    static func random(_ bytes: [UInt8], count: Int) -> String {
        precondition(bytes.count >= count, "too few random bytes for a name")
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
        return String(decoding: bytes.prefix(count).map { alphabet[Int($0) % alphabet.count] }, as: UTF8.self)
    }

    static func base64URL(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var text: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            count += 8
            while count >= 6 {
                count -= 6
                text.append(alphabet[Int(bits >> UInt32(count) & 63)])
            }
        }
        if count > 0 { text.append(alphabet[Int(bits << UInt32(6 - count) & 63)]) }
        return String(decoding: text, as: UTF8.self)
    }
}
