package import Model
package import Store

/// A drone as placement sees it.
package struct KnownDrone: Hashable, Sendable {
    /// What it said of itself.
    package var greeting: DroneGreeting
    /// What it can start, and the most that a request may ask of each.
    package var images: [ImageName: ResourceCeilings]
    /// Whether it takes new backends.
    package var willingness: Willingness
    /// Its session; nil when it holds none.
    package var session: SessionNumber?
    /// Whether it can be expected to answer.
    package var isHeard: Bool

    /// Its name.
    package var name: DroneName { greeting.name }

    /// - Parameters: as the properties say.
    package init(
        greeting: DroneGreeting, images: [ImageName: ResourceCeilings], willingness: Willingness,
        session: SessionNumber?, isHeard: Bool
    ) {
        self.greeting = greeting
        self.images = images
        self.willingness = willingness
        self.session = session
        self.isHeard = isHeard
    }
}

/// All drones that a controller knows at one moment, by name. Shared by the jobs that are made at that moment.
package final class DroneView: Sendable {
    /// All of them.
    package let drones: [KnownDrone]
    private let places: [DroneName: Int]

    /// - Parameter drones: by name.
    package init(_ drones: [KnownDrone]) {
        self.drones = drones
        places = Dictionary(drones.indices.map { (drones[$0].name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// One of them.
    package subscript(name: DroneName) -> KnownDrone? { places[name].map { drones[$0] } }
}

extension DroneGreeting {
    /// What it offers, by name. A greeting names each image once, and under a name that was checked.
    package var ceilings: [ImageName: ResourceCeilings] {
        var ceilings: [ImageName: ResourceCeilings] = [:]
        for image in images {
            if let name = try? ImageName(image.name) { ceilings[name] = image.ceilings }
        }
        return ceilings
    }
}
