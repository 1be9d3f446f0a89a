internal import Model

/// Why a policy, an image's manifest or a folder of them cannot be used, as a sentence for whoever wrote it.
public struct PolicyError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong: `policy python-repl.json`, `image shell: manifest.json`, or a path.
    public let subject: String
    /// Where in it: a JSON path such as `limits.memory`, or `line 3, column 7`; nil when it is the whole.
    public let place: String?
    /// What is wrong there and what would be right.
    public let problem: String

    /// - Parameters: as the properties say.
    public init(subject: String, place: String? = nil, problem: String) {
        self.subject = subject
        self.place = place
        self.problem = problem
    }

    init(subject: String, _ invalid: InvalidValue) {
        self.init(subject: subject, place: invalid.field.isEmpty ? "\"\"" : invalid.field, problem: invalid.problem)
    }

    public var description: String { ([subject] + (place.map { [$0] } ?? []) + [problem]).joined(separator: ": ") }
}
