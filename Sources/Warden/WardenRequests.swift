import Glibc
import Linux
import Model
import Sandbox
import WardenProtocol

/// Serving the drone: the whole table of what it may ask, and what is checked again before it is done.
extension WardenServer {
    func acceptDrone() throws(SystemError) {
        while let accepted = try Socket.accept(listener.raw) {
            let connection = DroneConnection(Descriptor(owning: accepted.release()))
            let peer = try Socket.peer(connection.raw)
            guard peer.userID == configuration.droneUser || peer.userID == 0 else {
                WardenLog.write("refused a connection of user \(peer.userID), pid \(peer.processID)")
                continue
            }
            // A restarted drone: the process that held the old connection must not act any more.
            if let old = drone { try letGo(old, "another drone connected") }
            try epoll.add(connection.raw, .readable, token: UInt64(UInt32(bitPattern: connection.raw)))
            drone = connection
        }
    }

    func letGo(_ connection: DroneConnection, _ cause: String) throws(SystemError) {
        try epoll.remove(connection.raw)
        drone = nil
        WardenLog.write("the drone's connection ends: \(cause)")
    }

    /// Reads and answers what has come.
    func serve(_ connection: DroneConnection) throws(SystemError) {
        do throws(SystemError) {
            try connection.flush()
            // Bounded, so that a talkative drone does not keep deadlines waiting; the rest comes with the next event.
            for _ in 0..<64 where drone === connection {
                guard
                    let packet = try Socket.receivePacket(connection.raw, capacity: WardenRequest.packetBytesMax)
                else { break }
                packet.descriptors.forEach { close($0) }
                if packet.bytes.isEmpty { return try letGo(connection, "closed by the drone") }
                try answer(packet.bytes, connection)
            }
            if drone === connection {
                let interest: Interest = connection.hasWaiting ? [.readable, .writable] : .readable
                try epoll.modify(connection.raw, interest, token: UInt64(UInt32(bitPattern: connection.raw)))
            }
        } catch {
            if drone === connection { try letGo(connection, "\(error)") }
        }
    }

    private func answer(_ packet: [UInt8], _ connection: DroneConnection) throws(SystemError) {
        let request: WardenRequest
        do { request = try WardenRequest(packet: packet) } catch {
            return try letGo(connection, "not a request: \(error)")
        }
        switch request {
        case .hello(let version): try greet(connection, version)
        case _ where !connection.isGreeted: try letGo(connection, "it did not begin with hello")
        case .spawn(let request): try spawn(request)
        case .extend(let deadlines):
            for item in deadlines { records[item.backend]?.extend(to: item.deadline) }
        case .terminate(let backend, let kind): try records[backend]?.terminate(kind, .terminated)
        case .sockets(let backend, let count): try makeSockets(backend, Int(count))
        case .list:
            for record in records.values.sorted(by: { $0.backend.text < $1.backend.text }) {
                try reply(.listing(record.listing), descriptors: record.exit == nil ? [record.output.raw] : [])
            }
            try reply(.listed)
        case .forget(let backend):
            if records[backend]?.exit != nil { records[backend] = nil }
        }
    }

    private func greet(_ connection: DroneConnection, _ version: UInt32) throws(SystemError) {
        guard version == WardenRequest.version else {
            return try letGo(
                connection, "it speaks version \(version), not \(WardenRequest.version); install both of one build")
        }
        connection.isGreeted = true
        library.reloadIfChanged()
        let offers = library.images.values.map { image in
            ImageOffer(
                image: image.plan.image, port: image.plan.port, readiness: image.plan.readiness,
                gracePeriodSeconds: image.plan.gracePeriodSeconds, ceilings: image.plan.ceilings)
        }
        try reply(
            .welcome(
                WardenWelcome(
                    version: WardenRequest.version, machine: machine, missingControllers: host.cgroup.missing,
                    images: offers.sorted { $0.image.text < $1.image.text })))
    }

    /// Sends to the drone, if one is there. What it misses it learns by `list`.
    func reply(_ reply: WardenReply, descriptors: [Int32] = []) throws(SystemError) {
        guard let connection = drone else { return }
        do throws(SystemError) {
            if try !connection.send(reply, descriptors: descriptors) {
                return try letGo(connection, "it reads no answers")
            }
            if connection.hasWaiting {
                try epoll.modify(
                    connection.raw, [.readable, .writable], token: UInt64(UInt32(bitPattern: connection.raw)))
            }
        } catch { try letGo(connection, "\(error)") }
    }

    private func spawn(_ request: SpawnRequest) throws(SystemError) {
        // A repeated request for what is there already changes nothing, as an id is never used twice.
        if records[request.backend] != nil { return }
        guard !isEnding else { return try reply(.refused(request.backend, message: "the warden is ending")) }
        guard request.hardDeadline > .now else {
            return try reply(.refused(request.backend, message: "its lease had ended before the sandbox was started"))
        }
        guard let image = library.image(request.image) else {
            return try reply(
                .refused(request.backend, message: "there is no image \(request.image) here; there are: \(imageNames)"))
        }
        do { try start(image, request) } catch {
            WardenLog.write("\(request.backend): \(error)")
            try reply(.refused(request.backend, message: "\(error)"))
        }
    }

    /// Begins a start; the loop goes on, and hears of its outcome.
    private func start(_ image: SandboxImage, _ request: SpawnRequest) throws {
        let tightened = try image.tightened(by: request.limits)
        let output = try Pipe()
        let null = try File.open("/dev/null", O_RDONLY)
        let environment = Self.environment(tightened.plan.environment, request.environment)
        pool.noteUse(of: image, on: &host)
        let made = try ready(image, tightened, request) ?? newlyMade(tightened, request.backend)
        let starting = try made.launch(
            environment: environment,
            .descriptors(input: null.raw, output: output.writing.raw, error: output.writing.raw), on: &host)
        let (reading, writing) = output.split()
        close(writing)
        let record = SandboxRecord(
            request, starting, output: Descriptor(owning: reading), budget: budget(of: tightened.plan))
        try record.output.setNonblocking()
        records[request.backend] = record
        startingCount += 1
        try watch(record)
        wakeBy(record.nextWake)
    }

    /// One that waits, if the request can be met by it: its writable layer and its processes' limits cannot be changed.
    private func ready(
        _ image: SandboxImage, _ tightened: SandboxImage, _ request: SpawnRequest
    ) throws(SandboxFailure) -> MadeSandbox? {
        guard request.limits.diskBytes == nil, request.limits.cpuTimeSeconds == nil,
            let made = pool.take(image, on: &host)
        else { return nil }
        if tightened !== image {
            do { try made.limit(to: tightened, on: host) } catch {
                made.discard(on: &host)
                throw error
            }
        }
        return made
    }

    private func newlyMade(_ image: SandboxImage, _ backend: BackendID) throws(SandboxFailure) -> MadeSandbox {
        if let blank = pool.takeBlank(on: &host) { return try blank.furnish(image, on: &host) }
        return try MadeSandbox.make(image, name: backend.text, on: &host)
    }

    private func budget(of plan: SandboxPlan) -> ProcessorBudget? {
        guard let seconds = plan.cpuTimeSeconds else { return nil }
        let online = Double(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        let promised = Double(plan.cgroup.cpuQuotaMicroseconds) / Double(plan.cgroup.cpuPeriodMicroseconds)
        let isKept = !host.cgroup.missing.contains("cpu")
        return ProcessorBudget(limit: seconds * 1_000_000, processors: isKept ? min(promised, online) : online)
    }

    /// A start is decided: the drone hears of it.
    func settle(_ record: SandboxRecord) throws(SystemError) {
        try unwatch(record)
        startingCount -= 1
        do throws(SandboxFailure) { try record.settle(on: &host) } catch {
            records[record.backend] = nil
            WardenLog.write("\(record.backend): \(error)")
            return try reply(.refused(record.backend, message: "\(error)"))
        }
        try watch(record)
        try reply(.spawned(record.backend), descriptors: [record.output.raw])
    }

    /// The image's variables and the request's, which win.
    static func environment(_ own: [String], _ added: [String]) -> [String] {
        var values: [Substring: String] = [:]
        for entry in own + added { values[entry.prefix { $0 != "=" }] = entry }
        return values.values.sorted()
    }

    private func makeSockets(_ backend: BackendID, _ count: Int) throws(SystemError) {
        guard let record = records[backend] else {
            return try reply(.sockets(backend, message: "no such backend"))
        }
        var made: [Int32] = []
        defer { made.forEach { close($0) } }
        do throws(SystemError) {
            for _ in 0..<count { made.append(try record.makeSocket(on: host).release()) }
        } catch { return try reply(.sockets(backend, message: "\(error)")) }
        try reply(.sockets(backend, message: nil), descriptors: made)
    }
}
