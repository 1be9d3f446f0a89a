import Model
import Testing

/// JSON as text: what is read, where reading stops, and what is written.
@Suite struct JSONTextTests {
    private func parse(_ text: String) throws(JSONSyntaxError) -> JSONValue {
        try JSONValue(parsing: Array(text.utf8))
    }

    @Test(
        "Every kind of value is read",
        arguments: [
            ("null", JSONValue.null), (" true ", .bool(true)), ("-0", .integer(0)), ("12", .integer(12)),
            ("1.5e3", .number(1500)), ("-9223372036854775808", .integer(.min)),
            (#""a\n\u00e4\ud83d\ude00/""#, .string("a\nä😀/")),
            ("[1,[],{}]", .array([.integer(1), .array([]), .object([:])])),
            (#"{"a":{"b":[false]}}"#, .object(["a": .object(["b": .array([.bool(false)])])])),
        ])
    func reads(_ text: String, _ value: JSONValue) throws {
        #expect(try parse(text) == value)
    }

    @Test(
        "What is not JSON is refused at its position",
        arguments: [
            ("", 1, 1), ("{", 1, 2), ("{\"a\":1,}", 1, 8), ("{\n  \"a\": x\n}", 2, 8), ("[1,2", 1, 5), ("01", 1, 1),
            ("1.", 1, 3), ("-", 1, 2), ("tru", 1, 1), ("1 2", 1, 3), ("{\"a\":1,\"a\":2}", 1, 8), ("\"\\ud800\"", 1, 2),
            ("\"\\x\"", 1, 2), ("9223372036854775808", 1, 1), ("1e999", 1, 1), ("'a'", 1, 1), ("\"a\u{1}\"", 1, 3),
        ])
    func refuses(_ text: String, _ line: Int, _ column: Int) {
        do throws(JSONSyntaxError) {
            let value = try parse(text)
            Issue.record("\(text) was read as \(value)")
        } catch {
            #expect((error.line, error.column) == (line, column), "\(text): \(error)")
        }
    }

    @Test("Nesting is bounded, so that no request can use up the stack")
    func depthIsBounded() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try parse(nested(JSONValue.depthMax))
        #expect(throws: JSONSyntaxError.self) { try parse(nested(JSONValue.depthMax + 1)) }
        #expect(throws: JSONSyntaxError.self) { try parse(nested(1_000_000)) }
    }

    @Test("Bytes that are not UTF-8 are refused")
    func invalidUTF8() {
        #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
    }

    @Test("What is written is ASCII, sorted, and reads back as the same value")
    func roundTrip() throws {
        let value = JSONValue.object([
            "ä": .string("\u{7f}\"\\\n😀"), "b": .array([.integer(-1), .number(0.1), .null]), "a": .bool(true),
        ])
        #expect(value.text == #"{"a":true,"b":[-1,0.1,null],"\u00e4":"\u007f\"\\\u000a\ud83d\ude00"}"#)
        #expect(try parse(value.text) == value)
    }

    @Test("Any bytes are read or refused, never a crash", arguments: 0..<20)
    func fuzz(_ seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let seedText = Array(#"{"a":[1,-2.5e3,"x\u00e4\n",true,null],"b":{"c":"😀"}}"#.utf8)
        for _ in 0..<500 {
            var bytes = seedText
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            do throws(JSONSyntaxError) {
                let value = try JSONValue(parsing: bytes)
                #expect(try JSONValue(parsing: Array(value.text.utf8)) == value)
            } catch {
                #expect(error.line >= 1 && error.column >= 1)
            }
        }
    }
}

/// A generator that gives the same numbers for the same seed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
