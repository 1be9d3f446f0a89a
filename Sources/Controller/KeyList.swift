import Model
import Store

/// `/ctrl/keys`, added to the reference's API: one page of held keys, by namespace, then name.
struct KeyList: Encodable, Sendable {
    var keys: [Key]
    /// Where the next page begins; null on the last.
    var next: Position?

    /// A held key, and who holds it. `/ctrl/key` answers one.
    struct Key: Encodable, Sendable {
        var namespace: String
        var name: String
        var tag: String
        var backend: String
        var status: BackendStatus
        /// Whether its end was asked for, so that the key will soon be free.
        var ending: Bool
        var drone: String
        var cluster: String
        var fencingToken: Int64
        /// Whole seconds since the backend was scheduled.
        var ageSeconds: Int64

        enum CodingKeys: String, CodingKey {
            case namespace
            case name
            case tag
            case backend = "backend_id"
            case status
            case ending
            case drone
            case cluster
            case fencingToken = "fencing_token"
            case ageSeconds = "age_seconds"
        }

        /// - Parameter now: the store's clock, milliseconds since 1970.
        init(_ row: BackendRow, now: Int64) {
            (namespace, name, tag) = (row.spec.key.namespace, row.spec.key.name, row.spec.key.tag)
            backend = row.id.text
            status = row.state.status
            ending = row.isEnding
            drone = row.spec.drone.text
            cluster = row.spec.cluster.text
            fencingToken = row.fencingToken.value
            ageSeconds = max(0, (now - row.createdMilliseconds) / 1000)
        }
    }

    struct Position: Encodable, Sendable {
        var namespace: String
        var name: String

        enum CodingKeys: String, CodingKey {
            case namespace = "after_namespace"
            case name = "after_name"
        }
    }

    /// - Parameter now: the store's clock, milliseconds since 1970.
    init(_ holders: [BackendRow], limit: Int, now: Int64) {
        keys = holders.map { Key($0, now: now) }
        if holders.count == limit, let last = holders.last?.spec.key {
            next = Position(namespace: last.namespace, name: last.name)
        }
    }

    enum CodingKeys: String, CodingKey {
        case keys
        case next
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(keys, forKey: .keys)
        // Present as null on the last page.
        try container.encode(next, forKey: .next)
    }
}
