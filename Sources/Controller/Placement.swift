package import Model
package import Store

/// Which drones could take a backend. Pure.
///
/// The reference draws two of the eligible drones and takes the less loaded, which spreads nearly as well as asking all of
/// them and does not send a crowd of simultaneous connects to the same one. It looks neither at images, which its drones
/// pull, nor at room. Here a drone that lacks either is not eligible.
///
/// It is done in two steps. `choose` goes by what the controller knows of drones, and puts the eligible ones in the order
/// in which they are drawn. `Shortlist` goes by the drones' rows, read in the transaction that then writes: so no drone is
/// ever promised more than it has, however many connects race.
package enum Placement: Equatable {
    /// These can take it, in the order in which they were drawn, if they have room.
    case candidates([Candidate], NoDrone)
    /// None can take it, and the image is the reason: no drone of the cluster and pool has it.
    case unknownImage(known: [ImageName])
    /// None can take it, and the request is the reason: every drone that has the image has a policy that it is beyond.
    case beyondPolicy(InvalidValue)
    /// None can take it, for reasons that may pass.
    case none(NoDrone)

    /// A drone that can take the backend, under the session that was seen, and what it would have to promise it.
    package struct Candidate: Hashable, Sendable {
        package var drone: DroneName
        package var session: SessionNumber
        package var promise: ResourceAmount
    }

    /// How many drones were ruled out by which condition; each is counted at the first that it fails.
    package struct NoDrone: Equatable, Sendable, CustomStringConvertible {
        package var cluster: ClusterName
        package var pool: String
        package var image: ImageName
        package var known = 0
        package var otherCluster = 0
        package var otherPool = 0
        package var withoutImage = 0
        package var tighterPolicy = 0
        package var draining = 0
        package var silent = 0
        package var full = 0
        /// What the first full one would have had to promise.
        package var needed: ResourceAmount?

        package init(cluster: ClusterName, pool: String, image: ImageName) {
            self.cluster = cluster
            self.pool = pool
            self.image = image
        }

        package var description: String {
            if known == 0 { return "No drone is connected, so there is nowhere to start the backend" }
            let need = needed.map { " (it needs \($0.sentence))" } ?? ""
            let counts = [
                (otherCluster, "not in cluster \(cluster)"), (otherPool, "not in pool \"\(pool)\""),
                (withoutImage, "without the image \(image)"),
                (tighterPolicy, "whose policy allows less than was asked for"), (draining, "draining"),
                (silent, "not connected"), (full, "full\(need)"),
            ]
            let reasons = counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
            return "No drone can take the backend: of \(known) known, \(reasons.joined(separator: ", "))"
        }
    }

    package static func choose(
        cluster: ClusterName, _ spawn: SpawnConfig, among drones: [KnownDrone], random: inout some RandomNumberGenerator
    ) -> Placement {
        let image = spawn.executable.image
        var refusal = NoDrone(cluster: cluster, pool: spawn.pool, image: image)
        refusal.known = drones.count
        var eligible: [Candidate] = []
        var images: Set<ImageName> = []
        var beyond: InvalidValue?
        for drone in drones {
            if drone.greeting.cluster != cluster {
                refusal.otherCluster += 1
            } else if drone.greeting.pool != spawn.pool {
                refusal.otherPool += 1
            } else if let ceilings = drone.images[image] {
                if let problem = ceilings.problem(with: spawn) {
                    refusal.tighterPolicy += 1
                    beyond = beyond ?? problem
                } else if drone.willingness.isDraining {
                    refusal.draining += 1
                } else if drone.isHeard, let session = drone.session {
                    let promise = ceilings.promise(spawn.executable.limits)
                    eligible.append(Candidate(drone: drone.name, session: session, promise: promise))
                } else {
                    refusal.silent += 1
                }
            } else {
                refusal.withoutImage += 1
                images.formUnion(drone.images.keys)
            }
        }
        if !eligible.isEmpty { return .candidates(eligible.shuffled(using: &random), refusal) }
        // An image that only a drone has which is away just now is not unknown: the caller need not correct anything.
        if refusal.draining + refusal.silent > 0 { return .none(refusal) }
        if let beyond { return .beyondPolicy(beyond) }
        if refusal.withoutImage > 0 { return .unknownImage(known: images.sorted { $0.text < $1.text }) }
        return .none(refusal)
    }

    /// The second step: the least loaded of the first few that can take it.
    package struct Shortlist: Equatable {
        /// What becomes of a candidate.
        package enum Verdict: Equatable {
            case fits
            case full
            case draining
            /// It does not hold the session any more under which it was seen.
            case otherSession
        }

        private let size: Int
        private var fitting: [(candidate: Candidate, row: DroneRow)] = []
        /// Why candidates were ruled out, with those of the first step.
        package private(set) var refusal: NoDrone
        /// Whether one was ruled out only because its session was seen wrongly.
        package private(set) var isViewOld = false

        /// - Parameters:
        ///   - size: how many are compared.
        ///   - refusal: of the first step.
        package init(size: Int, _ refusal: NoDrone) {
            self.size = max(1, size)
            self.refusal = refusal
        }

        /// Whether enough are found.
        package var isComplete: Bool { fitting.count >= size }

        /// Takes a candidate's row, as it is in this transaction. - Returns: what becomes of it.
        @discardableResult
        package mutating func add(_ candidate: Candidate, _ row: DroneRow?) -> Verdict {
            let verdict = Self.verdict(candidate, row)
            switch verdict {
            case .fits: if let row { fitting.append((candidate, row)) }
            case .full:
                refusal.full += 1
                refusal.needed = refusal.needed ?? candidate.promise
            case .draining: refusal.draining += 1
            case .otherSession:
                refusal.silent += 1
                isViewOld = true
            }
            return verdict
        }

        private static func verdict(_ candidate: Candidate, _ row: DroneRow?) -> Verdict {
            guard let row, row.session == candidate.session else { return .otherSession }
            if row.willingness.isDraining { return .draining }
            return row.hasRoom(for: candidate.promise) ? .fits : .full
        }

        /// The one with the least load; of equal ones the first that was drawn.
        package var best: Candidate? {
            var best = fitting.first
            for next in fitting.dropFirst() {
                guard let known = best else { break }
                let (a, b) = (next.row.load, known.row.load)
                if a < b || (a == b && next.row.backendCount < known.row.backendCount) { best = next }
            }
            return best?.candidate
        }

        package static func == (a: Shortlist, b: Shortlist) -> Bool {
            a.size == b.size && a.refusal == b.refusal && a.isViewOld == b.isViewOld
                && a.fitting.map(\.candidate) == b.fitting.map(\.candidate)
        }
    }
}

extension DroneRow {
    /// Whether a promise more stays within what it has.
    package func hasRoom(for promise: ResourceAmount) -> Bool {
        let sum = promised + promise
        let capacity = greeting.capacity
        return sum.memoryBytes <= capacity.memoryBytes && sum.cpuMillis <= capacity.cpuMillis
    }

    /// How much of what it has is promised: the larger share of memory and processors, 0 for nothing.
    package var load: Double {
        let capacity = greeting.capacity
        return max(
            Double(promised.memoryBytes) / Double(max(1, capacity.memoryBytes)),
            Double(promised.cpuMillis) / Double(max(1, capacity.cpuMillis)))
    }
}

extension ResourceAmount {
    /// As a person reads it.
    fileprivate var sentence: String {
        let (mebibyte, gibibyte) = (UInt64(1) << 20, UInt64(1) << 30)
        let memory: String
        if memoryBytes >= gibibyte, memoryBytes % gibibyte == 0 {
            memory = "\(memoryBytes / gibibyte) GiB"
        } else if memoryBytes >= mebibyte {
            memory = "\((memoryBytes + mebibyte - 1) / mebibyte) MiB"
        } else {
            memory = "\(memoryBytes) bytes"
        }
        let (whole, rest) = (cpuMillis / 1000, cpuMillis % 1000)
        let thousandths = String(rest + 1000).dropFirst()
        let processors = rest == 0 ? "\(whole)" : "\(whole).\(thousandths)"
        return "\(memory) of memory and \(processors) processor\(cpuMillis == 1000 ? "" : "s")"
    }
}

extension ResourceCeilings {
    /// What a request asks for beyond them; nil when nothing.
    fileprivate func problem(with spawn: SpawnConfig) -> InvalidValue? {
        do throws(InvalidValue) { try check(spawn) } catch { return error }
        return nil
    }
}
