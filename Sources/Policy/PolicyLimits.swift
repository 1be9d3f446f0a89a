public import Model

extension PolicyDocument {
    /// Amounts of what is shared with everyone else on the machine.
    public struct Limits: Hashable, Sendable {
        /// memory.max in bytes. Files in the writable layer and in /dev/shm count too.
        public var memoryBytes: UInt64 = 1 << 30
        /// memory.high in bytes, below `memoryBytes`; nil is no such mark.
        public var memoryHighBytes: UInt64?
        /// memory.swap.max in bytes.
        public var swapBytes: UInt64 = 0
        /// Processors' worth of time, 0.01–1024.
        public var cpus = 1.0
        /// How often the processor time is handed out, in microseconds, 1,000–1,000,000.
        public var cpuPeriodMicroseconds: UInt64 = 100_000
        /// cpu.weight, 1–10,000; nil is the kernel's 100.
        public var cpuWeight: UInt64?
        /// Processes and threads together.
        public var pids: UInt64 = 256
        /// io.weight, 1–10,000; nil is the kernel's 100.
        public var ioWeight: UInt64?
        /// io.max of the disk that holds the image.
        public var io = SandboxPlan.IOLimits()
        /// Processor seconds of all processes together; nil is no limit.
        public var cpuTimeSeconds: UInt64?
        /// Bytes of the writable layer over the image.
        public var diskBytes: UInt64 = 1 << 30
        /// Files and folders in the writable layer.
        public var diskFiles: UInt64 = 100_000
        /// Open descriptors of each process (RLIMIT_NOFILE).
        public var openFiles: UInt64 = 1024
        /// Bytes of /dev/shm, at most `memoryBytes`.
        public var sharedMemoryBytes: UInt64 = 64 << 20

        /// The default limits.
        public init() {}

        /// Processor time in each period, as cpu.max takes it.
        var cpuQuotaMicroseconds: UInt64 { UInt64((cpus * Double(cpuPeriodMicroseconds)).rounded()) }
    }
}

extension PolicyDocument.Limits {
    /// What cpu.weight and io.weight take, and what they are where nobody wrote them: admin-guide/cgroup-v2.
    static let weights: ClosedRange<Int64> = 1...10_000
    static let standardWeight: UInt64 = 100

    private static let bytesMax = 64 * ByteSize.tebibyte

    init(_ fields: inout JSONReader) throws(InvalidValue) {
        // Below 4 MiB not even a shell starts; above 64 TiB no machine reaches.
        let memory = 4 * ByteSize.mebibyte...Self.bytesMax
        memoryBytes = try fields.size("memory", in: memory) ?? memoryBytes
        memoryHighBytes = try fields.size("memory_high", in: memory)
        swapBytes = try fields.size("swap", in: 0...Self.bytesMax) ?? swapBytes
        cpus = try fields.number("cpus", in: 0.01...1024) ?? cpus
        cpuPeriodMicroseconds =
            try fields.milliseconds("cpu_period", in: 1...1000).map { $0 * 1000 } ?? cpuPeriodMicroseconds
        cpuWeight = try fields.integer("cpu_weight", in: Self.weights).map(UInt64.init)
        cpuTimeSeconds = try fields.seconds("cpu_time", in: 1...31_536_000)
        pids = try fields.integer("pids", in: 1...4_194_304).map(UInt64.init) ?? pids
        if var io = try fields.object("io") { try readIO(&io) }
        // tmpfs takes a size or inode count of 0 for "unlimited", so 0 is no value here.
        diskBytes =
            try fields.size("disk", in: 64 * ByteSize.kibibyte...Self.bytesMax) ?? min(diskBytes, memoryBytes)
        diskFiles = try fields.integer("disk_files", in: 16...1_000_000_000).map(UInt64.init) ?? diskFiles
        openFiles = try fields.integer("open_files", in: 16...1_048_576).map(UInt64.init) ?? openFiles
        sharedMemoryBytes =
            try fields.size("shared_memory", in: 4 * ByteSize.kibibyte...Self.bytesMax)
            ?? min(sharedMemoryBytes, memoryBytes)
        try fields.refuseUnknownFields()
        try refuseContradictions()
    }

    private mutating func readIO(_ fields: inout JSONReader) throws(InvalidValue) {
        ioWeight = try fields.integer("weight", in: Self.weights).map(UInt64.init)
        let rates = 4 * ByteSize.kibibyte...Self.bytesMax
        io.readBytesPerSecond = try fields.size("read", in: rates)
        io.writeBytesPerSecond = try fields.size("write", in: rates)
        io.readsPerSecond = try fields.integer("reads", in: 1...1_000_000_000).map(UInt64.init)
        io.writesPerSecond = try fields.integer("writes", in: 1...1_000_000_000).map(UInt64.init)
        try fields.refuseUnknownFields()
    }

    private func refuseContradictions() throws(InvalidValue) {
        guard sharedMemoryBytes <= memoryBytes else {
            throw InvalidValue(
                field: "limits.shared_memory",
                problem: "\(ByteSize(bytes: sharedMemoryBytes).text) is more than limits.memory, "
                    + "\(ByteSize(bytes: memoryBytes).text), which it counts towards")
        }
        if let high = memoryHighBytes, high >= memoryBytes {
            throw InvalidValue(
                field: "limits.memory_high",
                problem: "\(ByteSize(bytes: high).text) is never reached, since limits.memory is "
                    + "\(ByteSize(bytes: memoryBytes).text); write less than that")
        }
        // The least quota that cpu.max takes: min_cfs_quota_period in the kernel's scheduler.
        guard cpuQuotaMicroseconds >= SandboxPlan.CgroupLimits.cpuQuotaMicrosecondsMin else {
            throw InvalidValue(
                field: "limits.cpus",
                problem: "\(cpus) of a cpu_period of \(cpuPeriodMicroseconds / 1000)ms is less than the "
                    + "1ms that the kernel can hand out; raise one of the two")
        }
    }
}
