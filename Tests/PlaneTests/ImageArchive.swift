import Glibc
import Linux
import TestPrograms

/// OCI image layouts and archives of any content, hostile ones too, written by Python's tarfile.
struct ImageArchive {
    let folder: TemporaryFolder

    /// Writes a layout with one layer.
    /// - Parameters:
    ///   - name: of its folder.
    ///   - entries: Python that calls `file(name, content, …)`, `link(name, target)`, `folder(name)`, `add(name, type, …)`
    ///     or `raw(bytes)`; `canary` is the folder that must stay as it is.
    ///   - config: the configuration's `config` object, in Python.
    /// - Returns: the layout's path.
    @discardableResult
    func layout(_ name: String = "layout", _ entries: String, config: String = #"{"Cmd": ["/bin/sh"]}"#) throws
        -> String
    {
        let path = "\(folder.path)/\(name)"
        let script = Self.prelude + entries + "\nfinish(\(config))\n"
        let (status, _, errors) = try Program.run(["/usr/bin/python3", "-c", script, path, "\(folder.path)/canary"])
        guard status == .exited(code: 0) else { throw SystemError(EIO, "python3: \(errors)") }
        return path
    }

    /// What every good image has.
    static let shell = """
        file("bin/busybox", open("/bin/busybox", "rb").read(), 0o755)
        for name in ("sh", "sleep"): link("bin/" + name, "busybox")

        """

    private static let prelude = #"""
        import gzip, hashlib, io, json, os, sys, tarfile
        place, canary = sys.argv[1:]
        stream = io.BytesIO()
        archive = tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT)
        layer = None
        def add(name, type, mode=0o644, content=b"", target="", uid=0, gid=0, pax={}, size=None):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.linkname, entry.uid, entry.gid = type, mode, target, uid, gid
            entry.size, entry.pax_headers = len(content), pax
            if size is not None:
                entry.size = size
                stream.write(entry.tobuf(tarfile.PAX_FORMAT))
                archive.offset = stream.tell()
                return
            if type in (tarfile.CHRTYPE, tarfile.BLKTYPE): entry.devmajor, entry.devminor = 1, 3
            archive.addfile(entry, io.BytesIO(content))
        def file(name, content=b"", mode=0o644, **rest): add(name, tarfile.REGTYPE, mode, content, **rest)
        def link(name, target): add(name, tarfile.SYMTYPE, 0o777, target=target)
        def folder(name, mode=0o755): add(name, tarfile.DIRTYPE, mode)
        def raw(compressed):
            global layer
            layer = compressed
        def blob(data):
            digest = hashlib.sha256(data).hexdigest()
            os.makedirs(place + "/blobs/sha256", exist_ok=True)
            open(place + "/blobs/sha256/" + digest, "wb").write(data)
            return {"digest": "sha256:" + digest, "size": len(data)}
        def finish(config, architecture=None):
            archive.close()
            data = layer or gzip.compress(stream.getvalue(), 1)
            media = "application/vnd.oci.image."
            top = blob(data) | {"mediaType": media + "layer.v1.tar+gzip"}
            machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
            diff = "sha256:" + hashlib.sha256(b"" if layer else stream.getvalue()).hexdigest()
            text = {"architecture": config.pop("architecture", machine), "os": "linux", "config": config,
                    "rootfs": {"type": "layers", "diff_ids": [diff]}}
            about = blob(json.dumps(text).encode()) | {"mediaType": media + "config.v1+json"}
            manifest = blob(json.dumps({"schemaVersion": 2, "config": about, "layers": [top]}).encode())
            manifest["mediaType"] = media + "manifest.v1+json"
            open(place + "/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
            open(place + "/index.json", "w").write(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))

        """#
}

/// A folder of the host's beside the images, that nothing may be written to.
struct Canary {
    let path: String
    private let before: [String]

    init(in folder: TemporaryFolder) throws {
        path = "\(folder.path)/canary"
        try folder.write("alive", to: "canary/file", mode: 0o4755)
        before = try Self.look(path)
    }

    /// Whether listing, times, modes and content are as they were.
    var isUntouched: Bool { get throws { try Self.look(path) == before } }

    private static func look(_ path: String) throws -> [String] {
        let names = try File.names(in: path)
        return names + [path, path + "/file"].map { "\(String(describing: File.status($0)))" }
            + [try File.readText(path + "/file")]
    }
}
