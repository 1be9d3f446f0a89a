import Glibc
import Linux
import Model

/// Tries everything that Plane needs of the machine.
struct DoctorCommand: Subcommand {
    static let syntax = CommandSyntax(
        "doctor",
        purpose: """
            try everything that Plane needs of this machine, and say what to do where something is missing

            Each line was tried, not looked up. Nothing is left behind. Exit status 1 if something needed is missing.
            """,
        flags: [.json, StateFolder.flag])

    private let form: OutputForm
    private let state: StateFolder

    init(_ arguments: Arguments) throws(UsageError) {
        form = OutputForm(arguments)
        state = try StateFolder(arguments)
    }

    func run() throws -> Int32 {
        let findings = geteuid() == 0 ? allFindings() : withoutRoot()
        let isFit = !findings.contains(where: \.isMissing)
        switch form {
        case .json:
            let members: [String: JSONValue] = ["fit": .bool(isFit), "findings": .array(findings.map(\.json))]
            StandardOutput.say(JSONValue.object(members).text)
        case .text: StandardOutput.write(Self.report(findings))
        }
        return isFit ? 0 : 1
    }

    private func allFindings() -> [Finding] {
        [Finding("root", .fine, "user 0"), MachineProbe.kernel()]
            + NamespaceProbe.findings() + ProcessProbe.findings() + CgroupProbe.findings()
            + [OverlayProbe.finding(state)] + FileProbe.findings() + MachineProbe.limits() + MachineProbe.ports()
    }

    /// What can be tried without root; the rest would only fail for want of it.
    private func withoutRoot() -> [Finding] {
        let root = Finding(
            "root", .missing("run it again with sudo: most of the rest needs root to be tried"), "user \(geteuid())")
        return [root, MachineProbe.kernel()] + ProcessProbe.findings() + FileProbe.findings() + MachineProbe.limits()
            + MachineProbe.ports()
    }

    private static func report(_ findings: [Finding]) -> String {
        var text = Table.text(
            ["", "SUBJECT", "SEEN"], findings.map { [$0.word, $0.subject, $0.detail] })
        let remedies = findings.compactMap { finding in finding.remedy.map { (finding.word, finding.subject, $0) } }
        if !remedies.isEmpty { text += "\n" }
        for (word, subject, remedy) in remedies { text += "\(word): \(subject): \(remedy).\n" }
        if !findings.contains(where: \.isMissing) { text += "\nEverything that Plane needs is there.\n" }
        return text
    }
}
