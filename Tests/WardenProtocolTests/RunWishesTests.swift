import Linux
import Model
import Testing
import WardenProtocol

@Suite("What a single run asks for")
struct RunWishesTests {
    @Test("Wishes come back as they were written; a file that ends before them asks for nothing")
    func roundTrip() throws {
        let report = RunWishes.Report(
            descriptor: 5, began: BootInstant(nanoseconds: 1), compiled: BootInstant(nanoseconds: 2))
        for wishes in [RunWishes(), RunWishes(streams: .terminal), RunWishes(report: report)] {
            var writer = WireWriter()
            wishes.encode(into: &writer)
            var reader = WireReader(writer.bytes)
            #expect(try RunWishes(from: &reader) == wishes)
        }
        var empty = WireReader([])
        #expect(try RunWishes(from: &empty) == RunWishes())
    }

    @Test("What is cut short, unknown or too long is refused", arguments: [[9], [0], [0, 1, 5], [0, 0, 0, 0, 0]])
    func refusals(bytes: [UInt8]) {
        var reader = WireReader(bytes)
        #expect(throws: WireError.self) { try RunWishes(from: &reader) }
    }
}
