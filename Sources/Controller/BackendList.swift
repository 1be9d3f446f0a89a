import Model
import Store

/// `/ctrl/backends`, added to the reference's API: one page, by id.
struct BackendList: Encodable {
    var backends: [Backend]
    /// The `after` of the next page; null on the last.
    var next: String?

    struct Backend: Encodable {
        var id: String
        var key: Key
        var status: BackendStatus
        var drone: String
        var cluster: String
        var pool: String
        var image: String
        /// Whole seconds since it was scheduled.
        var ageSeconds: Int64
        var fencingToken: Int64
        /// Whether its end was asked for, or has come.
        var ending: Bool
        /// Why it ends; absent until then.
        var endReason: EndReason?
        /// How the command ended; absent until then.
        var exit: BackendExit?
        /// A sentence for a person; absent if there is nothing to say.
        var message: String?
        /// What it used; absent until it has ended.
        var usage: BackendUsage?
        /// What its proxy last said; absent until it was used.
        var traffic: BackendTraffic?

        enum CodingKeys: String, CodingKey {
            case id
            case key
            case status
            case drone
            case cluster
            case pool
            case image
            case ageSeconds = "age_seconds"
            case fencingToken = "fencing_token"
            case ending
            case endReason = "end_reason"
            case exit
            case message
            case usage
            case traffic
        }

        /// - Parameter now: the store's clock, milliseconds since 1970.
        init(_ row: BackendRow, now: Int64, traffic: BackendTraffic?) {
            id = row.id.text
            key = Key(row.spec.key)
            status = row.state.status
            drone = row.spec.drone.text
            cluster = row.spec.cluster.text
            pool = row.spec.pool
            image = row.spec.executable.image.text
            ageSeconds = max(0, (now - row.createdMilliseconds) / 1000)
            fencingToken = row.fencingToken.value
            ending = row.isEnding
            endReason = row.state.endReason ?? row.desiredEnd.map { EndReason($0.reason) }
            exit = row.state.exit
            message = row.state.message
            usage = row.state.usage
            self.traffic = traffic
        }
    }

    struct Key: Encodable {
        var namespace: String
        var name: String
        var tag: String

        init(_ key: KeyConfig) { (namespace, name, tag) = (key.namespace, key.name, key.tag) }
    }

    enum CodingKeys: String, CodingKey {
        case backends
        case next
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(backends, forKey: .backends)
        // Present as null on the last page.
        try container.encode(next, forKey: .next)
    }
}
