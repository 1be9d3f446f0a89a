import Glibc
import Linux

/// A root on its way to its sandbox, with the mounts that it was made of: letting go of one that is mounted nowhere makes
/// the kernel wait for all processors, so that is left to the sandbox's own process, whose exec lets go of them.
struct RootMount: ~Copyable {
    let mount: DetachedMount
    /// The image and the writable layer; nil where they had to be attached.
    let layers: Layers?

    struct Layers: ~Copyable {
        let lower: DetachedMount
        let writable: DetachedMount
    }

    /// What is sent: the root first.
    var descriptors: [Int32] {
        switch layers {
        case .none: [mount.descriptor.raw]
        case .some(let layers): [mount.descriptor.raw, layers.lower.descriptor.raw, layers.writable.descriptor.raw]
        }
    }
}

/// How this kernel's overlayfs takes its layers.
enum OverlayLayers: Sendable {
    /// By descriptors of mounts that are attached nowhere: Linux 6.15.
    case detached
    /// By paths, so attached in the scratch folder for a moment.
    case attached

    /// Tries.
    static func found() -> OverlayLayers {
        do throws(SystemError) {
            let tmpfs = [("size", "64k"), ("mode", "0700")] as [(String, String?)]
            let lower = try DetachedMount(fileSystem: "tmpfs", options: tmpfs, attributes: [])
            let writable = try DetachedMount(fileSystem: "tmpfs", options: tmpfs, attributes: [])
            for name in ["upper", "work"] where mkdirat(writable.descriptor.raw, name, 0o700) != 0 {
                throw SystemError(errno, "mkdirat")
            }
            _ = try DetachedMount(
                overlay: lower.descriptor, upper: folder("upper", writable), work: folder("work", writable),
                options: options, attributes: [])
            return .detached
        } catch { return .attached }
    }

    /// Nothing of what overlayfs can do beyond copying files up.
    private static let options: [(String, String?)] = [
        ("index", "off"), ("metacopy", "off"), ("redirect_dir", "off"), ("xino", "off"),
    ]

    private static func folder(_ name: String, _ mount: borrowing DetachedMount) throws(SystemError) -> Descriptor {
        try File.open(name, below: mount.descriptor, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks)
    }

    /// The overlay of two layers, of which the upper has folders `upper` and `work`.
    /// - Parameter source: the image's tree, for the sandbox's mountinfo: there plane image rm sees who uses an image.
    func stack(
        _ lower: consuming DetachedMount, _ writable: consuming DetachedMount, source: String,
        attributes: MountAttributes, scratch: String
    ) throws(SystemError) -> RootMount {
        let options = [("source", source)] + Self.options
        switch self {
        case .detached:
            let mount = try DetachedMount(
                overlay: lower.descriptor, upper: Self.folder("upper", writable), work: Self.folder("work", writable),
                options: options, attributes: attributes)
            return RootMount(mount: mount, layers: RootMount.Layers(lower: lower, writable: writable))
        case .attached:
            // One below the other, so that one call takes both away again.
            let place = scratch + "/rw"
            try writable.attach(at: place)
            defer { try? MountTree.detach(place) }
            try File.makeDirectory(place + "/lower", mode: 0o700)
            try lower.attach(at: place + "/lower")
            let mount = try DetachedMount(
                fileSystem: "overlay",
                options: [
                    ("lowerdir", place + "/lower"), ("upperdir", place + "/upper"), ("workdir", place + "/work"),
                ] + options,
                attributes: attributes)
            return RootMount(mount: mount, layers: nil)
        }
    }
}
