import Glibc
import Linux
import TestPrograms
import Testing

@testable import Images

@Suite("Reading a layer before it is unpacked")
struct ImageLayerScanTests {
    /// A header block with a right sum.
    private func header(_ name: String, type: Character, size: Int64 = 0, link: String = "") -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, _ place: Int) {
            block.replaceSubrange(place..<(place + text.utf8.count), with: text.utf8)
        }
        put(name, 0)
        put("0000644", 100)
        put("0000000", 108)
        put("0000000", 116)
        let digits = String(size, radix: 8)
        put(String(repeating: "0", count: 11 - digits.count) + digits, 124)
        put("        ", 148)
        put(String(type), 156)
        put(link, 157)
        put("ustar\u{0}00", 257)
        let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
        put(String(repeating: "0", count: 6 - sum.count) + sum + "\u{0} ", 148)
        return block
    }

    /// - Returns: what is refused, or how much is in it.
    private func scan(_ bytes: [UInt8], _ limits: ImageLimits = ImageLimits(bytesMax: 1 << 20, entriesMax: 100)) throws
        -> TreeSize
    {
        let file = try Self.memory(bytes)
        var scan = LayerScan(limits)
        try scan.read(file, layer: "layer 1") { _ in }
        return scan.size
    }

    private static func memory(_ bytes: [UInt8]) throws -> Descriptor {
        var template = Array("/tmp/plane-test-layer-XXXXXX".utf8CString)
        let file = Descriptor(owning: mkstemp(&template))
        unlink(template)
        try file.writeAll(bytes)
        lseek(file.raw, 0, SEEK_SET)
        return file
    }

    private func padded(_ content: String) -> [UInt8] {
        Array(content.utf8) + [UInt8](repeating: 0, count: (512 - content.utf8.count % 512) % 512)
    }

    @Test("Contents are passed over, and counted")
    func counts() throws {
        let bytes =
            header("a", type: "0", size: 5) + padded("hello") + header("b/", type: "5")
            + header("c", type: "2", link: "/x")
        #expect(try scan(bytes + [UInt8](repeating: 0, count: 1024)) == size(entries: 3, bytes: 5))
        #expect(try scan(bytes) == size(entries: 3, bytes: 5))
        // umoci leaves the last padding out.
        #expect(try scan(header("a", type: "0", size: 5) + Array("hello".utf8)) == size(entries: 1, bytes: 5))
    }

    private func size(entries: Int, bytes: Int64) -> TreeSize {
        var size = TreeSize()
        size.entries = entries
        size.bytes = bytes
        return size
    }

    @Test("A name said twice must be good both times, whichever the unpacking program takes")
    func names() throws {
        let long = "../../x\u{0}"
        let pax = "15 path=fine/x\n"
        let twice =
            header("L", type: "L", size: Int64(long.utf8.count)) + padded(long) + header("P", type: "x", size: 15)
            + padded(pax)
        #expect(throws: ImageRefusal.self) { try scan(twice + header("fine", type: "0")) }
        let fine = header("P", type: "x", size: 15) + padded(pax) + header("../ignored", type: "0")
        #expect(try scan(fine) == size(entries: 2, bytes: 0))
        // The fields were for one entry only.
        #expect(throws: ImageRefusal.self) { try scan(fine + header("../x", type: "0")) }
    }

    @Test(
        "Names that are refused, and names that are not",
        arguments: [
            ("a/b", true), ("./a/./b/", true), ("a..b/...", true), (".wh.file", true), ("d/.wh..wh..opq", true),
            ("", true),
            ("..", false), ("a/..", false), ("../a", false), ("/", false), ("/a", false), ("a/../b", false),
            (".wh.", false),
            (".wh..", false), (".wh...", false), ("a/.wh.../b", false), (String(repeating: "x", count: 256), false),
            (String(repeating: "x/", count: 2100), false),
        ])
    func judgedNames(name: String, isGood: Bool) {
        #expect(LayerScan.problems(of: Array(name.utf8)).isEmpty == isGood)
    }

    @Test("Numbers in binary, and archives that are cut or damaged")
    func damaged() throws {
        var block = header("a", type: "0", size: 5)
        #expect(throws: ImageRefusal.self) { try scan(block) }
        #expect(throws: ImageRefusal.self) { try scan(Array(block[..<300])) }
        block[0] = UInt8(ascii: "b")
        #expect(throws: ImageRefusal.self) { try scan(block + padded("hello")) }
        let (endless, _) = (header("g", type: "x", size: 1 << 30), 0)
        #expect(throws: ImageRefusal.self) { try scan(endless) }
        let many = (0..<101).flatMap { header("f\($0)", type: "0") }
        #expect(throws: ImageRefusal.self) { try scan(many) }
    }

    @Test("No bytes at all make the reader fail otherwise than by a refusal")
    func noise() throws {
        let whole =
            header("L", type: "L", size: 3) + padded("abc") + header("P", type: "x", size: 15)
            + padded("15 path=fine/x\n")
            + header("a", type: "0", size: 700) + [UInt8](repeating: 7, count: 1024) + header("b", type: "1", link: "a")
        var random = Generator(state: 42)
        for _ in 0..<3000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                bytes[place] = UInt8.random(in: 0...255, using: &random)
                if Bool.random(using: &random) { Self.mend(&bytes, at: place / 512 * 512) }
            }
            bytes.removeLast(Int.random(in: 0...(bytes.count / 2), using: &random))
            do { _ = try scan(bytes) } catch is ImageRefusal {}
        }
    }

    /// Makes a block's sum right again, so that what stands in it is looked at.
    private static func mend(_ bytes: inout [UInt8], at start: Int) {
        bytes.replaceSubrange((start + 148)..<(start + 156), with: "        ".utf8)
        let sum = String(bytes[start..<(start + 512)].reduce(0) { $0 + Int($1) }, radix: 8)
        bytes.replaceSubrange(
            (start + 148)..<(start + 156), with: (String(repeating: "0", count: 6 - sum.count) + sum + "\u{0} ").utf8)
    }

    /// xorshift64, Marsaglia 2003: the same cases on every run.
    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
    }
}
