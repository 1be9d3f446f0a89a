import Testing

@testable import plane

@Suite("Statements out of typed lines")
struct ReplInputTests {
    private func steps(_ pieces: [String]) -> [ReplInput.Step] {
        var input = ReplInput()
        var steps: [ReplInput.Step] = []
        func drain() {
            while true {
                let step = input.next()
                guard case .code = step else { break }
                steps.append(step)
            }
        }
        for piece in pieces {
            input.append(Array(piece.utf8))
            drain()
        }
        input.finish()
        drain()
        return steps
    }

    @Test("A line is a statement, wherever the bytes are cut")
    func lines() {
        #expect(steps(["a\nb\n"]) == [.code("a"), .code("b")])
        #expect(steps(["pri", "nt('", "ä')\n"]) == [.code("print('ä')")])
        #expect(steps(["\n  \na"]) == [.code("a")])
        var bytes = ReplInput()
        for byte in Array("é\n".utf8) { bytes.append([byte]) }
        #expect(bytes.next() == .code("é"))
    }

    @Test("A block goes on to an empty line or the end")
    func blocks() {
        #expect(steps(["for x in y:\n  a\n  b\n\nc\n"]) == [.code("for x in y:\n  a\n  b\n"), .code("c")])
        #expect(steps(["def f():\n  pass"]) == [.code("def f():\n  pass\n")])
        #expect(steps(["@d\ndef f(): pass\n\n"]) == [.code("@d\ndef f(): pass\n")])
    }

    @Test("While more is needed it asks for it, and at the end it ends")
    func prompts() {
        var input = ReplInput()
        #expect(input.next() == .wait(">>> "))
        input.append(Array("if x:\n".utf8))
        #expect(input.next() == .wait("... "))
        input.append(Array("  y\n\n".utf8))
        #expect(input.next() == .code("if x:\n  y\n"))
        input.finish()
        #expect(input.next() == .end)
    }
}
