import Glibc
import Images
import Linux
import Model
import Testing

@testable import plane

@Suite("Images in their folder")
struct ImageStoreTests {
    private let folder: TemporaryFolder
    private let store: ImageStore
    private let demo: ImageName

    init() throws {
        folder = try TemporaryFolder()
        store = ImageStore(state: try StateFolder(Arguments(["--state", folder.path], DevCommand.syntax)))
        demo = try ImageName("demo")
    }

    private func put(_ text: String, in name: String) throws {
        try folder.write(#"{"name":"demo","command":["/bin/true"]}"#, to: "images/\(name)/manifest.json")
        try folder.write(text, to: "images/\(name)/rootfs/file")
    }

    private func content() throws -> String { try File.readText("\(folder.path)/images/demo/rootfs/file") }

    @Test("A new image takes the older one's place, and the older one's files go")
    func replace() throws {
        try put("old", in: "demo")
        try put("new", in: ".new-demo~1")
        try store.install("\(folder.path)/images/.new-demo~1", as: demo)
        #expect(try content() == "new")
        try store.sweep()
        #expect(try folder.names("images") == ["demo"])
    }

    @Test("While a warden serves, the older one's files stay for the sandboxes that read them")
    func inUse() throws {
        try put("old", in: "demo")
        try put("new", in: ".new-demo~1")
        try File.makeDirectories("\(folder.path)/run", mode: 0o755)
        guard let warden = try File.lock("\(folder.path)/run/warden.lock") else {
            Issue.record("nobody holds the lock of a folder just made")
            return
        }
        try store.install("\(folder.path)/images/.new-demo~1", as: demo)
        try store.sweep()
        #expect(try folder.names("images").count == 2)
        #expect(try store.names() == ["demo"])
        _ = consume warden
        try store.sweep()
        #expect(try folder.names("images") == ["demo"])
    }

    @Test("A build that was broken off between its renames is undone, and a half-built one cleared")
    func repair() throws {
        try put("old", in: ".old-demo~7")
        try put("half", in: ".new-demo~8")
        try store.sweep()
        #expect(try folder.names("images") == ["demo"])
        #expect(try content() == "old")
    }

    @Test("A removed image does not come back")
    func remove() throws {
        try put("old", in: "demo")
        try store.remove(demo)
        try store.sweep()
        #expect(try folder.names("images").isEmpty)
        #expect(throws: CommandFailure.self) { try store.image(demo) }
    }

    @Test("Only one build is at work at a time")
    func lock() throws {
        let first = try store.lock()
        #expect(throws: CommandFailure.self) { _ = try store.lock() }
        _ = consume first
        _ = try store.lock()
    }

    @Test("Removing a tree follows no link out of it")
    func links() throws {
        try folder.write("precious", to: "outside/file")
        try folder.write("x", to: "tree/deep/file")
        symlink("\(folder.path)/outside", "\(folder.path)/tree/deep/link")
        symlink("\(folder.path)/outside", "\(folder.path)/direct")
        #expect(FileTree(path: "\(folder.path)/tree").byteCount() == 1)
        try FileTree(path: "\(folder.path)/tree").remove()
        #expect(File.status("\(folder.path)/tree") == nil)
        #expect(throws: SystemError.self) { try FileTree(path: "\(folder.path)/direct").remove() }
        #expect(try folder.names("outside") == ["file"])
    }

    @Test("A program is looked up inside the image, whose links lead nowhere else")
    func programs() throws {
        try folder.write("", to: "root/usr/bin/tool")
        symlink("/usr/bin", "\(folder.path)/root/bin")
        symlink("../../../../../../etc/passwd", "\(folder.path)/root/usr/bin/escape")
        let root = "\(folder.path)/root"
        #expect(try ImageProgram.find("tool", below: root, searchPath: "/sbin:/bin") == "/bin/tool")
        #expect(try ImageProgram.find("/usr/bin/tool", below: root, searchPath: "") == "/usr/bin/tool")
        for word in ["escape", "absent", "bin/tool", "/etc/passwd", "", "/usr"] {
            #expect(throws: (any Error).self, "\(word)") {
                try ImageProgram.find(word, below: root, searchPath: "/usr/bin:/bin")
            }
        }
    }
}
