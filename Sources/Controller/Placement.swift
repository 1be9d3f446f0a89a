import Model
import Store

/// Which drones could take a backend. Pure.
///
/// The reference draws two of the eligible drones and takes the less loaded, which spreads nearly as well as asking all of
/// them and does not send a crowd of simultaneous connects to the same one. It does not look at images: its drones
/// pull them. Here a drone that lacks the image is not eligible.
enum Placement: Equatable {
    /// These were drawn; the one with the fewest backends takes it.
    case shortlist([DroneName])
    /// None can take it, and the image is the reason: no drone of the cluster and pool has it.
    case unknownImage(known: [ImageName])
    /// None can take it, and the request is the reason: every drone that has the image has a policy that it is beyond.
    case beyondPolicy(InvalidValue)
    /// None can take it, for reasons that may pass.
    case none(NoDrone)

    /// How many linked drones were ruled out by which condition; each is counted at the first that it fails.
    struct NoDrone: Equatable, Sendable, CustomStringConvertible {
        var cluster: ClusterName
        var pool: String
        var image: ImageName
        var linked = 0
        var otherCluster = 0
        var otherPool = 0
        var withoutImage = 0
        var tighterPolicy = 0
        var draining = 0

        var description: String {
            if linked == 0 { return "No drone is connected, so there is nowhere to start the backend" }
            let counts = [
                (otherCluster, "not in cluster \(cluster)"), (otherPool, "not in pool \"\(pool)\""),
                (withoutImage, "without the image \(image)"),
                (tighterPolicy, "whose policy allows less than was asked for"), (draining, "draining"),
            ]
            let reasons = counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
            return "No drone can take the backend: of \(linked) connected, \(reasons.joined(separator: ", "))"
        }
    }

    static func choose(
        cluster: ClusterName, _ spawn: SpawnConfig, among drones: [LinkedDrone], bestOf: Int,
        random: inout some RandomNumberGenerator
    ) -> Placement {
        let image = spawn.executable.image
        var refusal = NoDrone(cluster: cluster, pool: spawn.pool, image: image)
        refusal.linked = drones.count
        var eligible: [DroneName] = []
        var images: Set<ImageName> = []
        var beyond: InvalidValue?
        for drone in drones {
            if drone.cluster != cluster {
                refusal.otherCluster += 1
            } else if drone.pool != spawn.pool {
                refusal.otherPool += 1
            } else if let ceilings = drone.images[image] {
                if let problem = ceilings.problem(with: spawn) {
                    refusal.tighterPolicy += 1
                    beyond = beyond ?? problem
                } else if drone.willingness == .draining {
                    refusal.draining += 1
                } else {
                    eligible.append(drone.name)
                }
            } else {
                refusal.withoutImage += 1
                images.formUnion(drone.images.keys)
            }
        }
        if !eligible.isEmpty { return .shortlist(draw(max(1, bestOf), from: eligible, &random)) }
        if refusal.draining > 0 { return .none(refusal) }
        if let beyond { return .beyondPolicy(beyond) }
        if refusal.withoutImage > 0 { return .unknownImage(known: images.sorted { $0.text < $1.text }) }
        return .none(refusal)
    }

    /// Draws without repetition. Moves only as many names as it draws.
    private static func draw(
        _ count: Int, from names: [DroneName], _ random: inout some RandomNumberGenerator
    ) -> [DroneName] {
        var names = names
        let drawn = min(count, names.count)
        for index in 0..<drawn {
            names.swapAt(index, Int.random(in: index..<names.count, using: &random))
        }
        return Array(names[..<drawn])
    }
}

extension ResourceCeilings {
    /// What a request asks for beyond them; nil when nothing.
    fileprivate func problem(with spawn: SpawnConfig) -> InvalidValue? {
        do throws(InvalidValue) { try check(spawn) } catch { return error }
        return nil
    }
}
