import Glibc
public import Linux
public import Model

/// An image that can be started: its compiled plan, its open root folder and its cgroup values, made once.
public final class SandboxImage {
    /// What a sandbox of it is.
    public let plan: SandboxPlan
    let settings: [CgroupSetting]
    private let folder: RootFolder
    private let disk: String?

    private final class RootFolder {
        let descriptor: Descriptor
        init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
    }

    /// Opens the image's root folder.
    /// - Parameter plan: compiled from the image's manifest and policy. The calling process has its own mount namespace
    ///   already (`SandboxHost.prepare`): a mount of another one cannot be copied.
    public convenience init(_ plan: SandboxPlan) throws(SystemError) {
        let root = try File.open(plan.rootPath, File.pathOnly | O_DIRECTORY)
        let disk = CgroupSetting.disk(of: try File.status(root))
        self.init(plan, RootFolder(root), disk: disk)
    }

    private init(_ plan: SandboxPlan, _ folder: RootFolder, disk: String?) {
        self.plan = plan
        self.folder = folder
        self.disk = disk
        settings = CgroupSetting.all(of: plan, disk: disk)
    }

    /// The same image under tighter limits.
    public func tightened(by limits: ResourceLimits) throws(InvalidValue) -> SandboxImage {
        if limits == ResourceLimits() { return self }
        return SandboxImage(try plan.tightened(by: limits), folder, disk: disk)
    }

    /// The root folder, opened with O_PATH.
    func withRoot<Value: ~Copyable>(
        _ work: (borrowing Descriptor) throws(SandboxFailure) -> Value
    ) throws(SandboxFailure) -> Value {
        try work(folder.descriptor)
    }
}
