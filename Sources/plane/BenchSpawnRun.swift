import Glibc
import Linux
import Model
import Policy
import WardenProtocol

/// One run of `plane bench spawn`: the phases one after the other, and the rows that they come to.
struct BenchSpawnRun {
    let isQuick: Bool
    let poolSize: Int
    let crowdCount: Int
    /// Throws when the run is to end.
    let check: () throws -> Void

    struct Result {
        let rows: [BenchRow]
        /// What ended sandboxes left behind.
        let leaks: [String]
    }

    func run() throws -> Result {
        let site = try BenchSite()
        let program = try ProgramCall.sibling("plane-warden", override: "PLANE_WARDEN")
        var rows: [BenchRow] = []
        let crowd: BenchManyPhase.Crowd
        do {
            let warden = try BenchWarden(site, program: program, flags: ["--pool", "0", "--blank", "4"])
            if !warden.welcome.missingControllers.isEmpty {
                StandardError.say(
                    "cgroup v2 has no \(warden.welcome.missingControllers.joined(separator: ", ")) here: "
                        + "their limits are not written, for no contender")
            }
            rows += try startRows(site, warden)
            let many = BenchManyPhase(warden: warden, check: check)
            StandardError.say("as many starts as go …")
            rows += sustainedRows(try many.sustain(for: .seconds(isQuick ? 5 : 30)))
        }
        do {
            StandardError.say("\(crowdCount) idle sandboxes at once …")
            // None kept ready: what is there before and after is to be the same to the last descriptor.
            let warden = try BenchWarden(site, program: program, flags: ["--pool", "0", "--blank", "0"])
            crowd = try BenchManyPhase(warden: warden, check: check).crowd(of: crowdCount)
            rows += crowdRows(crowd)
        }
        rows.insert(contentsOf: try poolRows(site, program) + unpreparedRows(site, program), at: 2)
        rows += try BenchFilter.rows(count: isQuick ? 20 : 100, check: check)
        return Result(rows: rows, leaks: crowd.leaks)
    }

    // MARK: One start

    private func startRows(_ site: BenchSite, _ warden: BenchWarden) throws -> [BenchRow] {
        StandardError.say("starts, one at a time …")
        let bare = BareContender(file: site.file(of: .stamp))
        let own = WardenContender(warden: warden)
        let bubblewrap = BenchPeers.bubblewrap(site)
        let crun = BenchPeers.crun(site)
        let planeRun = try BenchPeers.planeRun(site)
        let fast: [any BenchContender] = [bare, own] + bubblewrap.contenders
        let extent = BenchStartPhase.Extent(
            rounds: isQuick ? 8 : 25, startsPerRound: 20, slowEvery: 4, timeLimit: .seconds(isQuick ? 15 : 90))
        let results = try BenchStartPhase.run(
            fast, slow: crun.contenders + planeRun.contenders, extent, check: check)

        let (first, firstSpread) = results[own.name]?.figure(\.firstInstruction) ?? (nil, nil)
        let (whole, wholeSpread) = results[own.name]?.figure(\.whole) ?? (nil, nil)
        let bareFirst = results[bare.name]?.figure(\.firstInstruction)
        func row(_ peer: BenchPeers.Peer, _ name: String, goal: BenchRow.Goal?) -> BenchRow {
            let found = results[peer.name]?.figure(\.whole)
            return BenchRow(
                name, whole, .microseconds, peer: .init(name: peer.name, value: found?.value), goal: goal,
                spread: wholeSpread, note: peer.missing)
        }
        var rows = [
            BenchRow(
                "spawn.cold.first_instruction.p50", first, .microseconds,
                peer: .init(name: bare.name, value: bareFirst?.value), goal: .ratioAtMost(1.5), spread: firstSpread,
                note: "of an image of which nothing is kept ready; blank sandboxes are"),
            BenchRow(
                "spawn.cold.first_instruction.p99", firstSpread?.p99, .microseconds,
                peer: .init(name: "its p50", value: first), goal: .ratioAtMost(4)),
            row(bubblewrap, "spawn.true.whole.bubblewrap", goal: .ratioAtMost(0.5)),
            row(crun, "spawn.true.whole.crun", goal: .ratioAtMost(0.25)),
        ]
        for name in [bare.name, bubblewrap.name, crun.name, planeRun.name] {
            guard let result = results[name] else { continue }
            let (begun, begunSpread) = result.figure(\.firstInstruction)
            let (ended, endedSpread) = result.figure(\.whole)
            rows.append(BenchRow("\(name).first_instruction", begun, .microseconds, spread: begunSpread))
            rows.append(BenchRow("\(name).whole", ended, .microseconds, spread: endedSpread))
        }
        return rows
    }

    // MARK: With a pool

    private func poolRows(_ site: BenchSite, _ program: String) throws -> [BenchRow] {
        let name = "spawn.pool.first_instruction.p50"
        StandardError.say("starts from a pool of \(poolSize) …")
        let warden = try BenchWarden(site, program: program, flags: ["--pool", String(poolSize)])
        let own = WardenContender(warden: warden)
        let extent = BenchStartPhase.Extent(
            rounds: isQuick ? 8 : 25, startsPerRound: 20, slowEvery: 1, timeLimit: .seconds(isQuick ? 6 : 30))
        // Long enough for the pool to be full again: what is measured is a claim, and the refilling has its own row.
        let results = try BenchStartPhase.run([own], slow: [], extent, gapMilliseconds: 15, check: check)
        let (value, spread) = results[own.name]?.figure(\.firstInstruction) ?? (nil, nil)
        let (whole, wholeSpread) = results[own.name]?.figure(\.whole) ?? (nil, nil)
        return [
            BenchRow(name, value, .microseconds, goal: .valueAtMost(700), spread: spread),
            BenchRow("spawn.pool.true.whole", whole, .microseconds, spread: wholeSpread),
        ]
    }

    /// With nothing kept ready but network namespaces.
    private func unpreparedRows(_ site: BenchSite, _ program: String) throws -> [BenchRow] {
        let warden = try BenchWarden(site, program: program, flags: ["--pool", "0", "--blank", "0"])
        let own = WardenContender(warden: warden)
        let bare = BareContender(file: site.file(of: .stamp))
        let extent = BenchStartPhase.Extent(
            rounds: isQuick ? 4 : 12, startsPerRound: 20, slowEvery: 1, timeLimit: .seconds(isQuick ? 4 : 15))
        let results = try BenchStartPhase.run([bare, own], slow: [], extent, check: check)
        let (value, spread) = results[own.name]?.figure(\.firstInstruction) ?? (nil, nil)
        return [
            BenchRow(
                "spawn.unprepared.first_instruction.p50", value, .microseconds,
                peer: .init(name: bare.name, value: results[bare.name]?.figure(\.firstInstruction).value), goal: nil,
                spread: spread, note: "with nothing kept ready but network namespaces")
        ]
    }

    // MARK: Many

    private func sustainedRows(_ sustained: BenchManyPhase.Sustained) -> [BenchRow] {
        [
            BenchRow(
                "spawn.sustained", sustained.startsPerSecond, .startsPerSecond, goal: .valueAtLeast(300),
                note: "\(sustained.starts) sandboxes started and ended, \(BenchManyPhase.outstanding) at a time"),
            BenchRow(
                "warden.growth", sustained.wardenGrowthKibibytes, .kibibytes, goal: .valueAtMost(1024),
                note: "private memory of the warden after these starts beyond that before them"),
        ]
    }

    private func crowdRows(_ crowd: BenchManyPhase.Crowd) -> [BenchRow] {
        let measured = crowd.count > 0
        return [
            BenchRow(
                "crowd.count", Double(crowd.count), .sandboxes, goal: .valueAtLeast(Double(crowdCount)),
                note: crowd.shortfall ?? "idle at once"),
            BenchRow(
                "crowd.private_memory", measured ? crowd.privateKibibytesEach : nil, .kibibytes,
                goal: .valueAtMost(400),
                note: "for each sandbox, beyond the payload's own: its init and what the warden keeps of it"),
            BenchRow("crowd.init_memory", measured ? crowd.initKibibytesEach : nil, .kibibytes),
            BenchRow(
                "crowd.kernel_slab", measured ? crowd.kernelSlabKibibytesEach : nil, .kibibytes,
                note: "for each sandbox, what the kernel's Slab grew by; the network namespace is most of it"),
            BenchRow(
                "crowd.available_memory", measured ? crowd.availableKibibytesEach : nil, .kibibytes,
                note: "for each sandbox, what MemAvailable fell by: all of it, with the payload"),
            BenchRow(
                "crowd.left_behind", Double(crowd.leaks.count), .kinds, goal: .valueAtMost(0),
                note: crowd.leaks.isEmpty
                    ? "mounts, cgroups, processes and descriptors are as before" : crowd.leaks.joined(separator: ", ")),
        ]
    }
}
