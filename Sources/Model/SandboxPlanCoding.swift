extension SandboxPlan {
    /// First bytes of a compiled plan; the digits change with the layout.
    static let magic: UInt32 = 0x504c_0003

    /// Appends the plan in the form that `init(from:)` reads.
    public func encode(into writer: inout WireWriter) {
        writer.write(Self.magic)
        writer.write(image.text)
        writer.write(rootPath)
        writer.write(command)
        writer.write(environment)
        writer.write(workingDirectory)
        writer.write(port)
        readiness.encode(into: &writer)
        writer.write(userID)
        writer.write(groupID)
        writer.write(hostname)
        cgroup.encode(into: &writer)
        writer.write(diskBytes)
        writer.write(diskInodes)
        writer.write(sharedMemoryBytes)
        writer.write(openFilesMax)
        writer.write(cpuTimeSeconds)
        writer.write(filter)
        writer.write(filterMoment.rawValue)
        writer.write(gracePeriodSeconds)
        writer.write(lifetimeSeconds)
        writer.write(idleSeconds)
        writer.write(UInt32(mounts.count))
        for mount in mounts { mount.encode(into: &writer) }
        writer.write(devices.map(\.rawValue))
        writer.write(capabilities.map(\.rawValue))
        writer.write(UInt8(landlock == nil ? 0 : 1))
        landlock?.encode(into: &writer)
    }

    /// Reads a plan and checks what the sandbox relies on.
    public init(from reader: inout WireReader) throws(WireError) {
        guard try reader.read(UInt32.self) == Self.magic else {
            throw WireError("not a compiled plan of this version; plane and plane-warden must be of one build")
        }
        guard let image = try? ImageName(reader.readText(limit: 64)) else {
            throw WireError("bad image name in a plan")
        }
        self.image = image
        rootPath = try reader.readText(limit: 4096)
        command = try reader.readTexts(limit: 256, each: 4096)
        environment = try reader.readTexts(limit: 512, each: 32 * 1024)
        workingDirectory = try reader.readText(limit: 4096)
        port = try reader.read(UInt16.self)
        readiness = try Readiness(from: &reader)
        userID = try reader.read(UInt32.self)
        groupID = try reader.read(UInt32.self)
        hostname = try reader.readText(limit: 64)
        cgroup = try CgroupLimits(from: &reader)
        diskBytes = try reader.read(UInt64.self)
        diskInodes = try reader.read(UInt64.self)
        sharedMemoryBytes = try reader.read(UInt64.self)
        openFilesMax = try reader.read(UInt64.self)
        cpuTimeSeconds = try reader.readOptional(UInt64.self)
        filter = try reader.readBytes(limit: 4096 * 8)
        guard let moment = FilterMoment(rawValue: try reader.read(UInt8.self)) else {
            throw WireError("a plan's filter is put on at a moment that does not exist")
        }
        filterMoment = moment
        gracePeriodSeconds = try reader.read(UInt32.self)
        lifetimeSeconds = try reader.readOptional(UInt64.self)
        idleSeconds = try reader.readOptional(UInt64.self)
        for _ in 0..<(try reader.readCount(limit: 64)) { mounts.append(try SandboxMount(from: &reader)) }
        devices = try Self.choices(&reader, "device")
        capabilities = try Self.choices(&reader, "capability")
        if try reader.read(UInt8.self) != 0 { landlock = try LandlockRules(from: &reader) }
        try check()
    }

    private static func choices<Choice: RawRepresentable<String> & CaseIterable>(
        _ reader: inout WireReader, _ kind: String
    ) throws(WireError) -> [Choice] {
        var choices: [Choice] = []
        for word in try reader.readTexts(limit: Choice.allCases.count, each: 64) {
            guard let choice = Choice(rawValue: word) else { throw WireError("a plan has a \(kind) that is not known") }
            choices.append(choice)
        }
        return choices
    }

    private func check() throws(WireError) {
        guard rootPath.hasPrefix("/"), workingDirectory.hasPrefix("/") else {
            throw WireError("plan of image \(image): a path is not absolute")
        }
        guard (1...65533).contains(userID), (1...65533).contains(groupID) else {
            throw WireError("plan of image \(image): user and group ids inside must be 1 to 65533")
        }
        guard !filter.isEmpty, filter.count % 8 == 0 else {
            throw WireError("plan of image \(image): no seccomp program")
        }
    }
}

extension SandboxPlan.Readiness {
    /// Appends it in the form that `init(from:)` reads.
    public func encode(into writer: inout WireWriter) {
        writer.write(port)
        writer.write(path ?? "")
        writer.write(timeoutSeconds)
    }

    /// Reads what `encode` wrote.
    public init(from reader: inout WireReader) throws(WireError) {
        port = try reader.read(UInt16.self)
        let text = try reader.readText(limit: 4096)
        path = text.isEmpty ? nil : text
        timeoutSeconds = try reader.read(UInt32.self)
    }
}

extension SandboxPlan.CgroupLimits {
    func encode(into writer: inout WireWriter) {
        writer.write(memoryMaxBytes)
        writer.write(memoryHighBytes)
        writer.write(swapMaxBytes)
        writer.write(cpuQuotaMicroseconds)
        writer.write(cpuPeriodMicroseconds)
        writer.write(cpuWeight)
        writer.write(pidsMax)
        writer.write(ioWeight)
        for limit in [io.readBytesPerSecond, io.writeBytesPerSecond, io.readsPerSecond, io.writesPerSecond] {
            writer.write(limit)
        }
    }

    init(from reader: inout WireReader) throws(WireError) {
        memoryMaxBytes = try reader.read(UInt64.self)
        memoryHighBytes = try reader.readOptional(UInt64.self)
        swapMaxBytes = try reader.read(UInt64.self)
        cpuQuotaMicroseconds = try reader.read(UInt64.self)
        cpuPeriodMicroseconds = try reader.read(UInt64.self)
        cpuWeight = try reader.readOptional(UInt64.self)
        pidsMax = try reader.read(UInt64.self)
        ioWeight = try reader.readOptional(UInt64.self)
        io.readBytesPerSecond = try reader.readOptional(UInt64.self)
        io.writeBytesPerSecond = try reader.readOptional(UInt64.self)
        io.readsPerSecond = try reader.readOptional(UInt64.self)
        io.writesPerSecond = try reader.readOptional(UInt64.self)
    }
}
