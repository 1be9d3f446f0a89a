internal import Model

/// Images that drones offer, by the text that they are stored as: few differ, and all are read at each placement.
final class KnownImages {
    private static let countMax = 64
    private var parsed: [String: [OfferedImage]] = [:]

    func parse(_ text: String) throws(StoreError) -> [OfferedImage] {
        if let known = parsed[text] { return known }
        let images = try StoredText.images(parsing: text)
        if parsed.count == Self.countMax { parsed = [:] }
        parsed[text] = images
        return images
    }
}
