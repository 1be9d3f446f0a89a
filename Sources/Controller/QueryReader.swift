import HTTP
import Model

/// The parameters of a request's query, checked before anything is read. Pure.
struct QueryReader {
    private let query: Query

    /// Refuses parameters that the endpoint does not take, and those that are given twice: what is not understood must
    /// not be passed over, or a list would seem to be filtered.
    init(_ query: Query, for endpoint: Endpoint) throws(Failure) {
        self.query = query
        guard let known = endpoint.parameters else { return }
        var seen: Set<String> = []
        for name in query.names {
            guard known.contains(name) else { throw Self.unknown(name, known) }
            guard seen.insert(name).inserted else { throw Failure(.invalidRequest, "\(name): is given twice.") }
        }
    }

    private static func unknown(_ name: String, _ known: [String]) -> Failure {
        let takes = known.isEmpty ? "this address takes none" : "known are \(known.joined(separator: ", "))"
        let nearest = NearestName.find(name, among: known).map { "; did you mean \($0)?" } ?? "."
        return Failure(.invalidRequest, "\(name.prefix(80)): is not a parameter here; \(takes)\(nearest)")
    }

    /// A parameter as it came.
    func text(_ name: String) -> String? { query[name] }

    /// A parameter that a type checks; nil when it is left out.
    func checked<Value>(
        _ name: String, _ check: (String, String) throws(InvalidValue) -> Value
    ) throws(Failure) -> Value? {
        guard let text = query[name] else { return nil }
        do throws(InvalidValue) { return try check(text, name) } catch { throw Failure(.invalidRequest, "\(error).") }
    }

    /// Rows on a page: 1 to 1000, 100 when it is left out.
    func limit() throws(Failure) -> Int {
        guard let text = query["limit"] else { return 100 }
        guard let limit = Int(text), (1...1000).contains(limit) else {
            throw Failure(.invalidRequest, "limit: must be a number from 1 to 1000.")
        }
        return limit
    }
}
