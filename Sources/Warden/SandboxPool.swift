import Linux
import Model
import Sandbox

/// Sandboxes that are made before they are asked for, some of each image that was started at least once: what a start then
/// takes is to launch the command.
struct SandboxPool {
    /// Sandboxes kept ready of each image.
    let size: Int
    private var images: [ImageName: Shelf] = [:]
    private var made: UInt64 = 0

    private struct Shelf {
        var image: SandboxImage
        var ready: [Entry] = []
        /// Set when one could not be made, so that it is not tried over and over; the next start clears it.
        var isFailing = false
    }

    /// Holds what cannot be copied.
    private final class Entry {
        var sandbox: MadeSandbox?
        init(_ sandbox: consuming MadeSandbox) { self.sandbox = consume sandbox }
    }

    /// - Parameter size: sandboxes kept ready of each image, 0 for none.
    init(size: Int) { self.size = size }

    /// The image is used: it is worth keeping some of it from now on.
    mutating func noteUse(of image: SandboxImage, on host: inout SandboxHost) {
        guard size > 0 else { return }
        let name = image.plan.image
        if let shelf = images[name], shelf.image === image {
            images[name]?.isFailing = false
            return
        }
        // The policy or the image was changed: what was made by the old one is of no use.
        discard(name, on: &host)
        images[name] = Shelf(image: image)
    }

    /// One that is ready; nil when there is none.
    mutating func take(_ image: SandboxImage, on host: inout SandboxHost) -> MadeSandbox? {
        while let entry = images[image.plan.image]?.ready.popLast() {
            guard let sandbox = entry.sandbox.take() else { continue }
            if sandbox.isWaiting() { return sandbox }
            sandbox.discard(on: &host)
        }
        return nil
    }

    /// Whether one is to be made.
    var isShort: Bool { images.values.contains { !$0.isFailing && $0.ready.count < size } }

    /// Makes one of those that are missing.
    mutating func makeOne(on host: inout SandboxHost) {
        for (name, shelf) in images where !shelf.isFailing && shelf.ready.count < size {
            made += 1
            do {
                let sandbox = try MadeSandbox.make(shelf.image, name: "ready-\(made)", on: &host)
                images[name]?.ready.append(Entry(sandbox))
            } catch {
                images[name]?.isFailing = true
                WardenLog.write("no sandbox of \(name) is kept ready: \(error)")
            }
            if images[name]?.ready.count == size { tell(name) }
            return
        }
    }

    private func tell(_ name: ImageName) {
        let ready = images[name]?.ready ?? []
        let bytes = ready.reduce(UInt64(0)) { $0 + ($1.sandbox?.privateBytes() ?? 0) }
        WardenLog.write("keeps \(ready.count) sandboxes of \(name) ready, \(bytes / 1024) KiB of memory of their own")
    }

    /// Lets all go.
    mutating func discardAll(on host: inout SandboxHost) {
        for name in images.keys { discard(name, on: &host) }
        images = [:]
    }

    private mutating func discard(_ name: ImageName, on host: inout SandboxHost) {
        for entry in images.removeValue(forKey: name)?.ready ?? [] { entry.sandbox.take()?.discard(on: &host) }
    }
}
