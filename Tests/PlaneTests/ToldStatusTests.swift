import Model
import Testing

@testable import plane

@Suite("A backend's status in words")
struct ToldStatusTests {
    private func told(_ json: String) throws -> ToldStatus {
        try ToldStatus(try JSONValue(parsing: Array(json.utf8)))
    }

    @Test("The reason that tells most comes first, then its sentence, then what was used")
    func ended() throws {
        let status = try told(
            """
            {"status":"terminated","time":1769860800000,"exit_error":true,"end_reason":"out-of-memory",
             "message":"The kernel killed it.","usage":{"cpu_microseconds":1234567,"memory_peak_bytes":134217729}}
            """)
        #expect(status.line == "terminated at 2026-01-31T12:00:00Z (out-of-memory: The kernel killed it.)")
        #expect(status.usage == "It used 1.2 s of processor time and at most 129 MiB of memory.")
        #expect(status.isFailure)
    }

    @Test("What is not known is not made up")
    func partly() throws {
        let running = try told(#"{"status":"ready","time":0}"#)
        #expect(running.line == "ready at 1970-01-01T00:00:00Z")
        #expect(running.usage == nil)
        let older = try told(#"{"status":"terminated","time":0,"termination_reason":"swept"}"#)
        #expect(older.line == "terminated at 1970-01-01T00:00:00Z (swept)")
        let uncounted = try told(#"{"status":"terminated","time":0,"usage":{"cpu_microseconds":5000}}"#)
        #expect(uncounted.usage?.hasPrefix("It used 5 ms of processor time; how much memory is not known") == true)
    }
}
