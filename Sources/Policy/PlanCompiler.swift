public import Model

/// What a folder of images and a folder of policies come to.
public struct CompiledPlans: Sendable {
    /// One plan for each image that is right, in the order of their names.
    public var plans: [SandboxPlan] = []
    /// Why the other images have none.
    public var errors: [PolicyError] = []
}

/// Makes sandbox plans of manifests and policies.
public enum PlanCompiler {
    /// - Parameters:
    ///   - manifest: what the image says of itself.
    ///   - rootPath: absolute path of its tree on the host.
    ///   - policy: what it may do.
    public static func compile(manifest: ImageManifest, rootPath: String, policy: PolicyDocument) -> SandboxPlan {
        compile(manifest, rootPath, policy, filter: SeccompProgram(policy.seccomp).bytes)
    }

    private static func compile(
        _ manifest: ImageManifest, _ rootPath: String, _ policy: PolicyDocument, filter: [UInt8]
    ) -> SandboxPlan {
        precondition(rootPath.hasPrefix("/"), "an image's tree is named by an absolute path")
        let environment = manifest.environment.merging(policy.environment) { _, policy in policy }
        let limits = policy.limits
        return SandboxPlan(
            image: manifest.name, rootPath: rootPath, command: manifest.command,
            environment: environment.map { "\($0.key)=\($0.value)" }.sorted(),
            workingDirectory: manifest.workingDirectory, port: manifest.port,
            readiness: SandboxPlan.Readiness(port: manifest.port, timeoutSeconds: policy.readinessTimeoutSeconds),
            userID: policy.commandUser.uid, groupID: policy.commandUser.gid, hostname: policy.hostname,
            cgroup: SandboxPlan.CgroupLimits(
                memoryMaxBytes: limits.memoryBytes, swapMaxBytes: limits.swapBytes,
                cpuQuotaMicroseconds: limits.cpuQuotaMicroseconds, cpuPeriodMicroseconds: limits.cpuPeriodMicroseconds,
                pidsMax: limits.pids),
            diskBytes: limits.diskBytes, diskInodes: limits.diskFiles, sharedMemoryBytes: limits.sharedMemoryBytes,
            openFilesMax: limits.openFiles, cpuTimeSeconds: limits.cpuTimeSeconds, filter: filter,
            gracePeriodSeconds: policy.gracePeriodSeconds)
    }

    /// Compiles every image of a folder with `<image>.json` of the policies' folder, else its `default.json`, else the
    /// built-in default. An image whose manifest or policy is wrong gets an error and no plan: never another policy.
    /// - Parameters:
    ///   - imagesPath: absolute; holds `<name>/manifest.json` and `<name>/rootfs`. Names that begin with a dot are
    ///     passed over, so that a build can grow there before it is renamed.
    ///   - policiesPath: may be missing.
    ///   - trust: who must own all of it.
    /// - Throws: when a folder as a whole cannot be used.
    public static func compile(
        imagesPath: String, policiesPath: String, trust: FileTrust
    ) throws(PolicyError) -> CompiledPlans {
        guard imagesPath.hasPrefix("/") else {
            throw PolicyError(subject: "images", place: imagesPath, problem: "is not an absolute path")
        }
        guard let names = try TrustedFile(trust: trust, subject: "images").names(in: imagesPath) else {
            throw PolicyError(
                subject: "images", place: imagesPath, problem: "is not there; build an image into it first")
        }
        _ = try TrustedFile(trust: trust, subject: "policies").names(in: policiesPath)
        var compiled = CompiledPlans()
        var filters: [SystemCallPolicy: [UInt8]] = [:]
        for name in names {
            do throws(PolicyError) {
                let (manifest, rootPath) = try image(name, in: imagesPath, trust)
                let policy = try self.policy(of: manifest.name, in: policiesPath, trust)
                let filter = filters[policy.seccomp] ?? SeccompProgram(policy.seccomp).bytes
                filters[policy.seccomp] = filter
                compiled.plans.append(compile(manifest, rootPath, policy, filter: filter))
            } catch {
                compiled.errors.append(error)
            }
        }
        return compiled
    }

    /// Reads one image's manifest.
    /// - Returns: it and the absolute path of the image's tree.
    public static func image(
        _ name: String, in imagesPath: String, _ trust: FileTrust
    ) throws(PolicyError) -> (manifest: ImageManifest, rootPath: String) {
        let folder = "\(imagesPath)/\(name)"
        let image: ImageName
        do {
            image = try ImageName(name)
        } catch {
            throw PolicyError(subject: "images", place: folder, problem: error.problem)
        }
        let reader = TrustedFile(trust: trust, subject: "image \(name)")
        try reader.requireFolder(folder)
        guard let text = try reader.read("\(folder)/manifest.json") else {
            throw PolicyError(subject: ImageManifest.subject(image), problem: "is not there; build the image again")
        }
        let rootPath = "\(folder)/rootfs"
        try reader.requireFolder(rootPath)
        return (try ImageManifest.parse(text, name: image), rootPath)
    }

    /// The policy that an image runs under.
    public static func policy(
        of image: ImageName, in policiesPath: String, _ trust: FileTrust
    ) throws(PolicyError) -> PolicyDocument {
        for file in ["\(image).json", "default.json"] {
            let reader = TrustedFile(trust: trust, subject: "policy \(file)")
            if let text = try reader.read("\(policiesPath)/\(file)") {
                return try PolicyFile.parse(text, name: file)
            }
        }
        return PolicyDocument()
    }

    /// The form in which the warden reads plans: their number as UInt32, then each.
    public static func encode(_ plans: [SandboxPlan]) -> [UInt8] {
        var writer = WireWriter()
        writer.write(UInt32(plans.count))
        for plan in plans { plan.encode(into: &writer) }
        return writer.bytes
    }
}
