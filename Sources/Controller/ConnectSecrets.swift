import Model

/// What a connect needs and may not be guessed. Drawn before its job runs, so that the job depends on nothing else.
struct ConnectSecrets: Sendable {
    let backend: BackendID
    /// For a connect without a key.
    let key: KeyConfig
    let token: BearerToken
    let staticToken: BearerToken
    let secret: String
    /// Seeds the draw of drones.
    let seed: UInt64

    /// Draws all of them. - Parameter random: as many random bytes as asked for.
    init(_ random: (Int) -> [UInt8]) {
        // One draw: each may be a system call.
        let bytes = random(14 + 14 + 3 * 32 + 8)
        func slice(_ start: Int, _ count: Int) -> [UInt8] { Array(bytes[start..<start + count]) }
        backend = BackendID(random: slice(0, 14))
        do throws(InvalidValue) {
            key = try KeyConfig(name: "lk-" + BackendID(random: slice(14, 14)).text)
        } catch {
            preconditionFailure("a generated key is not valid: \(error)")
        }
        token = BearerToken(random: slice(28, 32))
        staticToken = BearerToken(random: slice(60, 32), kind: .fixed)
        secret = BearerToken(random: slice(92, 32)).text
        seed = slice(124, 8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// The same numbers for the same seed: SplitMix64 of Steele, Lea and Flood, 2014.
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    /// - Parameter seed: what they follow from.
    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
