import Linux
import Model

/// What `plane doctor` found about one thing.
struct Finding {
    /// What was looked at.
    let subject: String
    let verdict: Verdict
    /// What was seen.
    let detail: String

    enum Verdict {
        /// As it has to be.
        case fine
        /// Needed, and not there; and what to do.
        case missing(String)
        /// Not needed for everything; and what to do.
        case note(String)
        /// Could not be looked at.
        case unknown(String)
    }

    init(_ subject: String, _ verdict: Verdict, _ detail: String = "") {
        self.subject = subject
        self.verdict = verdict
        self.detail = detail
    }

    /// Tries something that must work.
    /// - Parameters:
    ///   - remedy: what to do when it does not.
    ///   - attempt: gives what was seen.
    static func trying(
        _ subject: String, remedy: String, _ attempt: () throws(SystemError) -> String
    ) -> Finding {
        do throws(SystemError) {
            return Finding(subject, .fine, try attempt())
        } catch {
            return Finding(subject, .missing(remedy), "\(error)")
        }
    }

    /// The verdict in one word.
    var word: String {
        switch verdict {
        case .fine: "ok"
        case .missing: "missing"
        case .note: "note"
        case .unknown: "unknown"
        }
    }

    /// What to do; nil when nothing is to be done.
    var remedy: String? {
        switch verdict {
        case .fine: nil
        case .missing(let remedy), .note(let remedy), .unknown(let remedy): remedy
        }
    }

    var isMissing: Bool {
        if case .missing = verdict { true } else { false }
    }

    var json: JSONValue {
        .object([
            "subject": .string(subject), "verdict": .string(word), "detail": .string(detail),
            "remedy": remedy.map(JSONValue.string) ?? .null,
        ])
    }
}
