import Model
import Policy

/// What must hold for any file whatever, policy or not.
struct PolicyProperties {
    /// A case in which it does not.
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    /// How many files were policies.
    private(set) var accepted = 0
    /// How many were refused.
    private(set) var refused = 0
    /// How many policies contradicted the image.
    private(set) var contradicted = 0

    private var previous = PolicyDocument()
    private let manifest: ImageManifest
    /// Filters of earlier policies, since most have the same.
    private var programs: [SystemCallPolicy: SeccompProgram] = [:]

    init() throws {
        manifest = ImageManifest(name: try ImageName("fuzz"), command: ["/bin/sh"], environment: ["PATH": "/bin"])
    }

    /// Parses it; if it is a policy, compiles it, and has it explained, compared and looked through.
    mutating func check(_ file: [UInt8]) throws {
        let policy: PolicyDocument
        do throws(PolicyError) {
            policy = try PolicyFile.parse(file, name: "fuzz.json")
        } catch {
            refused += 1
            guard error.subject == "policy fuzz.json", error.place?.isEmpty == false, !error.problem.isEmpty else {
                throw Violation(description: "the error names no file or no place: \(error)")
            }
            return
        }
        accepted += 1
        let program = programs[policy.seccomp] ?? SeccompProgram(policy.seccomp)
        if programs.count > 1000 { programs.removeAll() }
        programs[policy.seccomp] = program
        try checkPlan(policy, program)
        try checkWords(policy, program)
        previous = policy
    }

    private mutating func checkPlan(_ policy: PolicyDocument, _ program: SeccompProgram) throws {
        let plan: SandboxPlan
        do throws(PolicyError) {
            plan = try PlanCompiler.compile(
                manifest: manifest, rootPath: "/images/fuzz/rootfs", policy: policy, policyName: "fuzz.json",
                filter: program.bytes)
        } catch {
            contradicted += 1
            guard error.subject == "policy fuzz.json", error.place == "landlock.listen" else {
                throw Violation(description: "a policy that was right contradicts the image: \(error)")
            }
            return
        }
        var reader = WireReader(PlanCompiler.encode([plan]))
        guard try reader.readCount(limit: 1) == 1, try SandboxPlan(from: &reader) == plan, reader.isAtEnd else {
            throw Violation(description: "the plan is another one after its encoding")
        }
    }

    private func checkWords(_ policy: PolicyDocument, _ program: SeccompProgram) throws {
        guard PolicyExplanation.text(policy, name: "fuzz.json", program: program).hasPrefix("Policy fuzz.json\n") else {
            throw Violation(description: "the explanation does not begin with the name")
        }
        guard PolicyWarning.all(in: policy).allSatisfy({ !$0.place.isEmpty && !$0.problem.isEmpty }) else {
            throw Violation(description: "a warning says nothing")
        }
        guard PolicyComparison(policy, policy).differences.isEmpty else {
            throw Violation(description: "the policy differs from itself")
        }
        let forth = PolicyComparison(previous, policy)
        let back = PolicyComparison(policy, previous)
        guard forth.text("a", "b").hasSuffix("\n"), forth.callsGained == back.callsLost,
            forth.callsLost == back.callsGained
        else { throw Violation(description: "what one comparison gains is not what the other way loses") }
    }
}
