import Model
import Store

/// `/ctrl/controllers`, added to the reference's API: who shares the store.
struct ControllerList: Encodable, Sendable {
    var controllers: [Entry]

    struct Entry: Encodable, Sendable {
        var name: String
        var version: String
        /// Whole seconds since it said that it is there, by the store's clock.
        var seenSecondsAgo: Int64
        /// Whether it is the one that answers.
        var answers: Bool

        enum CodingKeys: String, CodingKey {
            case name
            case version
            case seenSecondsAgo = "seen_seconds_ago"
            case answers
        }
    }

    /// A controller that has its store for itself writes nothing about itself there, and is listed all the same.
    init(_ rows: [ControllerRow], here: ControllerName, version: String, now: Int64) {
        controllers = rows.map { row in
            Entry(
                name: row.name.text, version: row.version,
                seenSecondsAgo: max(0, (now - row.seenMilliseconds) / 1000), answers: row.name == here)
        }
        if !controllers.contains(where: \.answers) {
            controllers.append(Entry(name: here.text, version: version, seenSecondsAgo: 0, answers: true))
        }
    }
}
