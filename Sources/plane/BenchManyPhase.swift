import Glibc
import Linux
import Model
import WardenProtocol

/// Many sandboxes: as many starts as go for some seconds, and as many at once as a host has backends.
struct BenchManyPhase {
    let warden: BenchWarden
    /// Called now and then; throws to end it all.
    let check: () throws -> Void

    /// Requests on their way at the same time: enough that neither side waits for the other, few enough that each is
    /// answered soon.
    static let outstanding = 8

    /// What a time of continuous starting came to.
    struct Sustained {
        let startsPerSecond: Double
        let starts: Int
        /// Private memory of the warden at its end beyond that at its beginning.
        let wardenGrowthKibibytes: Double
    }

    /// Starts sandboxes that end at once, for the given time.
    func sustain(for duration: Duration) throws -> Sustained {
        // Buffers grow to their size once; what grows after that grows for ever.
        _ = try starts(until: .now + min(.seconds(3), duration * 0.3))
        let before = try PrivateMemory(of: warden.pid)
        let start = BootInstant.now
        let count = try starts(until: start + duration)
        let seconds = Double((BootInstant.now - start).wholeNanoseconds) / 1e9
        let growth = try PrivateMemory(of: warden.pid).kibibytes - before.kibibytes
        return Sustained(
            startsPerSecond: Double(count) / seconds, starts: count, wardenGrowthKibibytes: growth)
    }

    /// - Returns: how many were started; all of them have ended.
    private func starts(until deadline: BootInstant) throws -> Int {
        var (running, ended) = (0, 0)
        while true {
            while running < Self.outstanding, BootInstant.now < deadline {
                try warden.requestStart(of: .stamp)
                running += 1
            }
            if running == 0 { return ended }
            if ended % 64 == 0 { try check() }
            if try awaitOne() == .ended {
                running -= 1
                ended += 1
            }
        }
    }

    private enum Event: Equatable { case started(BackendID), ended }

    /// The next that starts or ends, whose output nobody wants.
    private func awaitOne() throws -> Event {
        let next = try warden.next()
        next.descriptors.forEach { close($0) }
        switch next.reply {
        case .spawned(let backend): return .started(backend)
        case .exited(let backend, _):
            try warden.send(.forget(backend))
            return .ended
        case .refused(_, let message): throw CommandFailure("the warden refused a start: \(message)")
        case .welcome, .sockets, .listing, .listed: throw CommandFailure("the warden answered \(next.reply)")
        }
    }

    /// What many idle sandboxes came to.
    struct Crowd {
        let count: Int
        /// Private memory of each first process, and of the warden for each, beyond the payload's own.
        let privateKibibytesEach: Double
        let initKibibytesEach: Double
        let kernelSlabKibibytesEach: Double
        let availableKibibytesEach: Double
        /// What was left when all had ended; empty when nothing was.
        let leaks: [String]
        /// Why there are fewer than asked for.
        let shortfall: String?
    }

    /// Holds that many idle sandboxes at once, weighs them, ends them, and looks whether anything is left.
    func crowd(of count: Int) throws -> Crowd {
        _ = try hold(1, whileHeld: { _ in })
        let traces = try settledTraces { _ in true }
        let wardenBefore = try PrivateMemory(of: warden.pid)
        let kernelBefore = try KernelMemory.now()
        let known = Set(traces.children)
        var weighed: (each: Double, initial: Double, slab: Double, available: Double) = (0, 0, 0, 0)
        let (held, shortfall) = try hold(count) { held in
            guard held > 0 else { return }
            let inits = try WardenTraces.children(of: warden.pid).filter { !known.contains($0) }
            let own = try inits.reduce(0.0) { sum, pid in
                try check(); return sum + (try PrivateMemory(of: pid)).kibibytes
            }
            let kernel = try KernelMemory.now()
            let growth = try PrivateMemory(of: warden.pid).kibibytes - wardenBefore.kibibytes
            let number = Double(held)
            weighed = (
                (own + growth) / number, own / number, (kernel.slab - kernelBefore.slab) / number,
                (kernelBefore.available - kernel.available) / number
            )
        }
        let after = try settledTraces { $0.additions(since: traces).isEmpty }
        return Crowd(
            count: held, privateKibibytesEach: weighed.each, initKibibytesEach: weighed.initial,
            kernelSlabKibibytesEach: weighed.slab, availableKibibytesEach: weighed.available,
            leaks: after.additions(since: traces), shortfall: shortfall)
    }

    /// A pool of the warden's fills up behind the last start, so the traces are looked at until they are right or a while
    /// has passed.
    private func settledTraces(until isSettled: (WardenTraces) -> Bool) throws -> WardenTraces {
        let deadline = BootInstant.now + .seconds(5)
        while true {
            let traces = try WardenTraces.now(of: warden.pid)
            if isSettled(traces) || BootInstant.now > deadline { return traces }
            poll(nil, 0, 50)
        }
    }

    /// Starts that many, calls back, and ends them all.
    private func hold(
        _ count: Int, whileHeld: (Int) throws -> Void
    ) throws -> (held: Int, shortfall: String?) {
        var backends: [BackendID] = []
        var (asked, answered) = (0, 0)
        var shortfall: String?
        while true {
            while asked < count, asked - answered < Self.outstanding, shortfall == nil {
                try warden.requestStart(of: .idle)
                asked += 1
            }
            if answered == asked { break }
            try check()
            let next = try warden.next()
            next.descriptors.forEach { close($0) }
            switch next.reply {
            case .spawned(let backend): backends.append(backend)
            case .refused(_, let message): shortfall = message
            case .exited(let backend, _):
                throw CommandFailure("an idle payload has ended by itself: \(backend)")
            case .welcome, .sockets, .listing, .listed: throw CommandFailure("the warden answered \(next.reply)")
            }
            answered += 1
        }
        try whileHeld(backends.count)
        for (index, backend) in backends.enumerated() {
            try warden.send(.terminate(backend, .hard))
            // Ended in small groups, so that the socket never fills from both sides.
            if index >= Self.outstanding { try awaitEnd() }
        }
        for _ in 0..<min(backends.count, Self.outstanding) { try awaitEnd() }
        return (backends.count, shortfall)
    }

    private func awaitEnd() throws {
        while try awaitOne() != .ended {}
    }
}
