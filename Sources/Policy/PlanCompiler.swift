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
    /// Where volumes are when nobody says otherwise.
    public static let standardVolumesPath = "/var/lib/plane/volumes"

    /// - Parameters:
    ///   - manifest: what the image says of itself.
    ///   - rootPath: absolute path of its tree on the host.
    ///   - policy: what it may do.
    ///   - policyName: how messages call the policy, for example `jupyter.json`.
    ///   - volumesPath: absolute; where volumes are of a policy that names no base.
    ///   - filter: the program of the policy's system calls, if somebody has it already; nil makes it.
    /// - Throws: where image and policy contradict each other.
    public static func compile(
        manifest: ImageManifest, rootPath: String, policy: PolicyDocument, policyName: String = "default.json",
        volumesPath: String = standardVolumesPath, filter: [UInt8]? = nil
    ) throws(PolicyError) -> SandboxPlan {
        precondition(rootPath.hasPrefix("/"), "an image's tree is named by an absolute path")
        precondition(volumesPath.hasPrefix("/"), "volumes are named by an absolute path")
        do throws(InvalidValue) {
            try PolicyFile.requireListening(
                manifest.port, policy.landlock, reason: "the port of image \(manifest.name)")
        } catch {
            throw PolicyError(subject: "policy \(policyName)", error)
        }
        let environment = manifest.environment.merging(policy.environment) { _, policy in policy }
        var plan = SandboxPlan(
            image: manifest.name, rootPath: rootPath, command: policy.command ?? manifest.command,
            environment: environment.map { "\($0.key)=\($0.value)" }.sorted(),
            workingDirectory: manifest.workingDirectory, port: manifest.port,
            readiness: SandboxPlan.Readiness(
                port: policy.readiness.port ?? manifest.port, path: policy.readiness.path,
                timeoutSeconds: policy.readiness.timeoutSeconds),
            userID: policy.commandUser.uid, groupID: policy.commandUser.gid, hostname: policy.hostname,
            cgroup: policy.limits.cgroup, diskBytes: policy.limits.diskBytes, diskInodes: policy.limits.diskFiles,
            sharedMemoryBytes: policy.limits.sharedMemoryBytes, openFilesMax: policy.limits.openFiles,
            cpuTimeSeconds: policy.limits.cpuTimeSeconds, filter: filter ?? SeccompProgram(policy.seccomp).bytes,
            gracePeriodSeconds: policy.gracePeriodSeconds)
        plan.filterMoment = policy.seccomp.letsLaunchThrough ? .beforeLaunch : .beforeExec
        plan.mounts = policy.mounts.map { $0.planned(volumeBase: policy.volumeBase ?? volumesPath) }
        plan.devices = policy.devices
        plan.capabilities = policy.capabilities
        plan.landlock = policy.landlock
        plan.lifetimeSeconds = policy.lifetimeSeconds
        plan.idleSeconds = policy.idleSeconds
        return plan
    }

    /// A policy and how messages call it.
    public struct NamedPolicy: Sendable {
        /// The file's name.
        public var name: String
        /// What it says.
        public var document: PolicyDocument

        /// - Parameters: as the properties say.
        public init(name: String, document: PolicyDocument) {
            self.name = name
            self.document = document
        }
    }

    /// Compiles every image of a folder with `<image>.json` of the policies' folder, else its `default.json`, else the
    /// built-in default. An image whose manifest or policy is wrong gets an error and no plan: never another policy.
    /// - Parameters:
    ///   - imagesPath: absolute; holds `<name>/manifest.json` and `<name>/rootfs`. Names that begin with a dot are
    ///     passed over, so that a build can grow there before it is renamed.
    ///   - policiesPath: may be missing. Volumes are in the folder `volumes` beside it.
    ///   - trust: who must own all of it.
    /// - Throws: when a folder as a whole cannot be used.
    public static func compile(
        imagesPath: String, policiesPath: String, trust: FileTrust
    ) throws(PolicyError) -> CompiledPlans {
        guard imagesPath.hasPrefix("/") else {
            throw PolicyError(subject: "images", place: imagesPath, problem: "is not an absolute path")
        }
        guard policiesPath.hasPrefix("/"), !policiesPath.split(separator: "/").contains("..") else {
            throw PolicyError(subject: "policies", place: policiesPath, problem: "is not an absolute path without ..")
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
                let filter = filters[policy.document.seccomp] ?? SeccompProgram(policy.document.seccomp).bytes
                filters[policy.document.seccomp] = filter
                compiled.plans.append(
                    try compile(
                        manifest: manifest, rootPath: rootPath, policy: policy.document, policyName: policy.name,
                        volumesPath: volumesPath(beside: policiesPath), filter: filter))
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
    ) throws(PolicyError) -> NamedPolicy {
        for file in ["\(image).json", "default.json"] {
            let reader = TrustedFile(trust: trust, subject: "policy \(file)")
            if let text = try reader.read("\(policiesPath)/\(file)") {
                return NamedPolicy(name: file, document: try PolicyFile.parse(text, name: file))
            }
        }
        return NamedPolicy(name: "default.json (built in)", document: PolicyDocument())
    }

    /// Where volumes are of policies that name no base.
    /// - Parameter policiesPath: absolute path of the folder of policies.
    public static func volumesPath(beside policiesPath: String) -> String {
        "/" + (policiesPath.split(separator: "/").dropLast() + ["volumes"]).joined(separator: "/")
    }

    /// The form in which the warden reads plans: their number as UInt32, then each.
    public static func encode(_ plans: [SandboxPlan]) -> [UInt8] {
        var writer = WireWriter()
        writer.write(UInt32(plans.count))
        for plan in plans { plan.encode(into: &writer) }
        return writer.bytes
    }
}

extension PolicyDocument.Limits {
    /// As cgroup v2 takes them.
    fileprivate var cgroup: SandboxPlan.CgroupLimits {
        var cgroup = SandboxPlan.CgroupLimits(
            memoryMaxBytes: memoryBytes, swapMaxBytes: swapBytes, cpuQuotaMicroseconds: cpuQuotaMicroseconds,
            cpuPeriodMicroseconds: cpuPeriodMicroseconds, pidsMax: pids)
        cgroup.memoryHighBytes = memoryHighBytes
        cgroup.cpuWeight = cpuWeight
        cgroup.ioWeight = ioWeight
        cgroup.io = io
        return cgroup
    }
}

extension PolicyDocument.Mount {
    fileprivate func planned(volumeBase: String) -> SandboxMount {
        switch source {
        case .readOnly(let path): SandboxMount(source: .readOnly(path: path), target: target)
        case .volume(let name): SandboxMount(source: .volume(base: volumeBase, name: name), target: target)
        }
    }
}
