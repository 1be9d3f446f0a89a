import Linux
import Model
import Sandbox

/// Sandboxes that are made before they are asked for: some of each image that was started at least once, of which a start
/// then only launches the command, and as many that are of no image yet.
struct SandboxPool {
    /// Sandboxes kept ready of each image.
    let size: Int
    /// Sandboxes kept ready that are of no image yet.
    let blankSize: Int
    private var blank = Shelf(image: nil)
    private var images: [ImageName: Shelf] = [:]
    private var made: UInt64 = 0

    private struct Shelf {
        /// Nil for those of no image yet.
        var image: SandboxImage?
        var ready: [Entry] = []
        /// Set when one could not be made, so that it is not tried over and over; the next start clears it.
        var isFailing = false

        func isShort(of size: Int) -> Bool { !isFailing && ready.count < size }
    }

    /// Holds what cannot be copied.
    private final class Entry {
        enum Content: ~Copyable {
            case blank(BlankSandbox)
            case made(MadeSandbox)
            case taken
        }

        private var content: Content

        init(_ sandbox: consuming BlankSandbox) { content = .blank(sandbox) }
        init(_ sandbox: consuming MadeSandbox) { content = .made(sandbox) }

        /// What is there; nothing from then on.
        func take() -> Content {
            var taken = Content.taken
            swap(&taken, &content)
            return taken
        }

        var privateBytes: UInt64 {
            switch content {
            case .blank(let sandbox): sandbox.privateBytes()
            case .made(let sandbox): sandbox.privateBytes()
            case .taken: 0
            }
        }
    }

    /// - Parameters: sandboxes kept ready, 0 for none.
    init(size: Int, blankSize: Int) {
        self.size = size
        self.blankSize = blankSize
    }

    /// The image is used: it is worth keeping some of it from now on.
    mutating func noteUse(of image: SandboxImage, on host: inout SandboxHost) {
        blank.isFailing = false
        guard size > 0 else { return }
        let name = image.plan.image
        if let shelf = images[name], shelf.image === image {
            images[name]?.isFailing = false
            return
        }
        // The policy or the image was changed: what was made by the old one is of no use.
        Self.discard(images.removeValue(forKey: name), on: &host)
        images[name] = Shelf(image: image)
    }

    /// One of the image that is ready to be launched; nil when there is none.
    mutating func take(_ image: SandboxImage, on host: inout SandboxHost) -> MadeSandbox? {
        while let entry = images[image.plan.image]?.ready.popLast() {
            switch entry.take() {
            case .made(let sandbox):
                if sandbox.isWaiting() { return sandbox }
                sandbox.discard(on: &host)
            case .blank(let sandbox): sandbox.discard(on: &host)
            case .taken: continue
            }
        }
        return nil
    }

    /// One of no image; nil when there is none.
    mutating func takeBlank(on host: inout SandboxHost) -> BlankSandbox? {
        while let entry = blank.ready.popLast() {
            switch entry.take() {
            case .blank(let sandbox):
                if sandbox.isWaiting() { return sandbox }
                sandbox.discard(on: &host)
            case .made(let sandbox): sandbox.discard(on: &host)
            case .taken: continue
            }
        }
        return nil
    }

    /// Whether one is to be made.
    var isShort: Bool {
        blank.isShort(of: blankSize) || images.values.contains { $0.isShort(of: size) }
    }

    /// Makes one of those that are missing.
    mutating func makeOne(on host: inout SandboxHost) {
        for (name, shelf) in images where shelf.isShort(of: size) {
            guard let image = shelf.image else { continue }
            do {
                let entry = Entry(try furnished(image, on: &host))
                images[name]?.ready.append(entry)
            } catch {
                images[name]?.isFailing = true
                WardenLog.write("no sandbox of \(name) is kept ready: \(error)")
            }
            if images[name]?.ready.count == size { tell("of \(name)", images[name]) }
            return
        }
        guard blank.isShort(of: blankSize) else { return }
        do {
            let entry = Entry(try BlankSandbox.make(name: nextName(), on: &host))
            blank.ready.append(entry)
        } catch {
            blank.isFailing = true
            WardenLog.write("no sandbox is kept ready: \(error)")
        }
    }

    private mutating func furnished(
        _ image: SandboxImage, on host: inout SandboxHost
    ) throws(SandboxFailure) -> MadeSandbox {
        if let blank = takeBlank(on: &host) { return try blank.furnish(image, on: &host) }
        return try MadeSandbox.make(image, name: nextName(), on: &host)
    }

    private mutating func nextName() -> String {
        made += 1
        return "ready-\(made)"
    }

    private func tell(_ what: String, _ shelf: Shelf?) {
        let ready = shelf?.ready ?? []
        let bytes = ready.reduce(UInt64(0)) { $0 + $1.privateBytes }
        WardenLog.write("keeps \(ready.count) sandboxes \(what) ready, \(bytes / 1024) KiB of memory of their own")
    }

    /// Lets all go.
    mutating func discardAll(on host: inout SandboxHost) {
        for shelf in images.values { Self.discard(shelf, on: &host) }
        Self.discard(blank, on: &host)
        images = [:]
        blank = Shelf(image: nil)
    }

    private static func discard(_ shelf: Shelf?, on host: inout SandboxHost) {
        for entry in shelf?.ready ?? [] {
            switch entry.take() {
            case .made(let sandbox): sandbox.discard(on: &host)
            case .blank(let sandbox): sandbox.discard(on: &host)
            case .taken: continue
            }
        }
    }
}
