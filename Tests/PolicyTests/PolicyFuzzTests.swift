import Testing

@testable import plane_policy_fuzzer

@Suite("The policy parser and all behind it, given anything")
struct PolicyFuzzTests {
    @Test(
        "Generated files: a policy that survives compiling, encoding, explaining and comparing, or an error with a place"
    )
    func properties() throws {
        let properties = try PolicyFuzzer.run(cases: 4000, seed: 1)
        // Both ways out have been taken, so the generator is neither too mild nor too wild.
        #expect(properties.accepted > 400)
        #expect(properties.refused > 400)
        #expect(properties.contradicted > 0)
    }

    @Test("A case is the same at each run, and another one under another seed")
    func reproducible() {
        func file(_ seed: UInt64, _ index: UInt64) -> [UInt8] {
            var generator = PolicyGenerator(seed: seed, index: index)
            return generator.file()
        }
        #expect(file(7, 3) == file(7, 3))
        #expect(Set((0..<100).map { file(7, $0) }).count > 90)
        #expect((0..<100).contains { file(7, $0) != file(8, $0) })
    }
}
