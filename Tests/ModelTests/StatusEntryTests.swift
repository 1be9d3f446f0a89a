import FoundationEssentials
import Model
import Testing

@Suite("A line of a backend's public history")
struct StatusEntryTests {
    private func json(_ state: BackendState) throws -> JSONValue {
        try JSONValue(parsing: Array(JSONEncoder().encode(StatusEntry(state, time: 5))))
    }

    @Test("Before its end a backend has the reference's fields and no others")
    func running() throws {
        let expected: JSONValue = .object(["status": .string("ready"), "time": .integer(5)])
        #expect(try json(BackendState(.ready)) == expected)
    }

    @Test(
        "Each of the reference's reasons keeps its value, with the added one beside it",
        arguments: [
            (TerminationReason.swept, "swept", EndReason.swept, false), (.external, "external", .external, false),
            (.keyExpired, "keyexpired", .leaseExpired, true), (.lost, "lost", .lost, true),
            (.startupTimeout, "startuptimeout", .startupTimeout, true),
            (.internalError, "internalerror", .internalError, true),
        ])
    func reasons(reason: TerminationReason, text: String, added: EndReason, failed: Bool) throws {
        let entry = try json(BackendState(.terminated, reason: reason, kind: .hard, message: "Because."))
        #expect(
            entry
                == .object([
                    "status": .string("terminated"), "time": .integer(5), "termination_reason": .string(text),
                    "termination_kind": .string("hard"), "exit_error": .bool(failed), "message": .string("Because."),
                    "end_reason": .string(added.rawValue),
                ]))
    }

    @Test(
        "What nobody asked for has a reason too, and none of the reference's",
        arguments: [
            (EndReason.outOfMemory, "out-of-memory"), (.cpuTime, "cpu-time"), (.killed, "killed"),
            (.startFailed, "start-failed"),
        ])
    func added(reason: EndReason, text: String) throws {
        let state = BackendState(
            .terminated, endReason: reason, usage: BackendUsage(cpuMicroseconds: 7, memoryPeakBytes: nil))
        #expect(
            try json(state)
                == .object([
                    "status": .string("terminated"), "time": .integer(5), "exit_error": .bool(true),
                    "end_reason": .string(text), "usage": .object(["cpu_microseconds": .integer(7)]),
                ]))
    }

    @Test("A command that exited by itself has failed if its status says so", arguments: [(0, false), (3, true)])
    func exits(code: Int32, failed: Bool) {
        let exit = BackendExit(code: code, signal: nil, outOfMemory: false)
        let entry = StatusEntry(BackendState(.terminated, exit: exit, endReason: .exited), time: 0)
        #expect(entry.exitError == failed)
    }
}
