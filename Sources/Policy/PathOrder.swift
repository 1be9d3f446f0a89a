/// How two plain paths stand to each other.
enum PathOrder {
    case same
    /// The first is an ancestor of the second.
    case contains
    /// The first is below the second.
    case inside
    case apart

    init(_ first: String, _ second: String) {
        if first == second {
            self = .same
        } else if Self.isAncestor(first, of: second) {
            self = .contains
        } else if Self.isAncestor(second, of: first) {
            self = .inside
        } else {
            self = .apart
        }
    }

    private static func isAncestor(_ path: String, of other: String) -> Bool {
        path == "/" || (other.hasPrefix(path) && other.dropFirst(path.count).first == "/")
    }
}
