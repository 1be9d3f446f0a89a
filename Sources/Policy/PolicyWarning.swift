internal import Model

/// Something in a policy that is allowed and probably not meant.
public struct PolicyWarning: Hashable, Sendable, CustomStringConvertible {
    /// A JSON path such as `limits.disk`.
    public let place: String
    /// What comes of it, as the rest of a sentence that begins with the place.
    public let problem: String

    public var description: String { "\(place): \(problem)" }

    /// Everything in a policy that deserves one.
    public static func all(in policy: PolicyDocument) -> [PolicyWarning] {
        limits(policy) + life(policy) + mounts(policy) + ports(policy) + allowed(policy.seccomp)
            + denied(policy.seccomp)
    }

    private static func limits(_ policy: PolicyDocument) -> [PolicyWarning] {
        let limits = policy.limits
        guard limits.diskBytes > limits.memoryBytes else { return [] }
        return [
            PolicyWarning(
                place: "limits.disk",
                problem: "\(ColumnText.size(limits.diskBytes)) is more than limits.memory, "
                    + "\(ColumnText.size(limits.memoryBytes)), which files count towards: writing that much ends the backend"
            )
        ]
    }

    private static func life(_ policy: PolicyDocument) -> [PolicyWarning] {
        guard let lifetime = policy.lifetimeSeconds, lifetime < policy.readiness.timeoutSeconds else { return [] }
        return [
            PolicyWarning(
                place: "readiness.timeout",
                problem:
                    "\(ColumnText.duration(UInt64(policy.readiness.timeoutSeconds))) is never reached, since lifetime "
                    + "is \(ColumnText.duration(lifetime))")
        ]
    }

    private static func mounts(_ policy: PolicyDocument) -> [PolicyWarning] {
        guard policy.volumeBase != nil, !policy.mounts.contains(where: \.isVolume) else { return [] }
        return [PolicyWarning(place: "volume_base", problem: "has no effect, since no mount is a volume")]
    }

    private static func ports(_ policy: PolicyDocument) -> [PolicyWarning] {
        guard policy.capabilities.contains(.bindLowPorts), let listen = policy.landlock?.listenPorts,
            listen.allSatisfy({ $0 >= 1024 })
        else { return [] }
        return [
            PolicyWarning(
                place: "capabilities",
                problem: "\(SandboxCapability.bindLowPorts.rawValue) has no effect, since landlock.listen has no port "
                    + "below 1024")
        ]
    }

    private static func allowed(_ policy: SystemCallPolicy) -> [PolicyWarning] {
        policy.allow.union(policy.allowWhen.map(\.call)).sorted().compactMap { name in
            let problem: String
            if SystemCallNumber.resolve(name, on: .native) == nil {
                problem = "has no effect, since this machine has no such system call"
            } else if SystemCallList.decision(name) == .allow {
                problem = "has no effect, since the list lets it through"
            } else if let danger = SystemCallList.dangers.first(where: { $0.calls.contains(name) }) {
                problem = "gives up a defence: \(danger.loss)"
            } else {
                return nil
            }
            return PolicyWarning(place: "seccomp.allow", problem: "\"\(name)\" \(problem)")
        }
    }

    private static func denied(_ policy: SystemCallPolicy) -> [PolicyWarning] {
        policy.deny.union(policy.denyWhen.map(\.call)).subtracting(policy.allow).subtracting(
            policy.allowWhen.map(\.call)
        )
        .sorted().filter { SystemCallList.forbidden.contains($0) }
        .map { PolicyWarning(place: "seccomp.deny", problem: "\"\($0)\" has no effect, since the list refuses it") }
    }
}
