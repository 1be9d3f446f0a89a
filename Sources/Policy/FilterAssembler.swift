/// One instruction of classic BPF: `struct sock_filter` of linux/filter.h.
public struct FilterInstruction: Hashable, Sendable {
    /// Operation.
    public let code: UInt16
    /// Instructions to skip when a comparison holds.
    public let ifTrue: UInt8
    /// Instructions to skip when it does not.
    public let ifFalse: UInt8
    /// Its constant.
    public let operand: UInt32

    static func load(offset: UInt32) -> FilterInstruction { .init(code: 0x20, ifTrue: 0, ifFalse: 0, operand: offset) }
    static func jump(over count: Int) -> FilterInstruction {
        .init(code: 0x05, ifTrue: 0, ifFalse: 0, operand: UInt32(count))
    }
    static func answer(_ action: UInt32) -> FilterInstruction {
        .init(code: 0x06, ifTrue: 0, ifFalse: 0, operand: action)
    }
}

/// All numbers from one up to the next range's first.
struct DecisionRange {
    let first: UInt32
    let decision: SystemCallDecision

    /// Ranges over all 32-bit numbers, neighbours of one decision joined.
    static func covering(
        _ decisions: [UInt32: SystemCallDecision], otherwise: SystemCallDecision
    ) -> [DecisionRange] {
        var ranges = [DecisionRange(first: 0, decision: decisions[0] ?? otherwise)]
        for number in decisions.keys.sorted() {
            for first in [number, number &+ 1] where first != 0 {
                let decision = decisions[first] ?? otherwise
                if ranges[ranges.count - 1].decision != decision {
                    ranges.append(DecisionRange(first: first, decision: decision))
                }
            }
        }
        return ranges
    }
}

/// Turns decisions into classic BPF: a balanced tree of comparisons over ranges of numbers.
///
/// libseccomp compares with every listed number and cannot say "all but these" of an argument's low half without dozens
/// of rules; the kernel runs the filter once per call number at each attach, so its length is start-up time.
enum FilterAssembler {
    /// Offsets in `struct seccomp_data` of linux/seccomp.h; arguments are little-endian 64-bit words.
    private enum Offset {
        static let number: UInt32 = 0
        static let architecture: UInt32 = 4
        static func lowHalf(of argument: Int) -> UInt32 { 16 + 8 * UInt32(argument) }
    }

    private enum Comparison: UInt16 {
        case equal = 0x15
        case atLeast = 0x35
        case anyBit = 0x45
    }

    /// - Parameters:
    ///   - ranges: over all numbers, in order, the first from 0.
    ///   - architecture: calls made in any other convention end the process.
    static func program(_ ranges: [DecisionRange], for architecture: Architecture) -> [FilterInstruction] {
        [.load(offset: Offset.architecture)]
            + branch(
                .equal, architecture.auditToken, yes: [.load(offset: Offset.number)] + tree(ranges[...]),
                no: code(.killProcess))
    }

    private static func tree(
        _ ranges: ArraySlice<DecisionRange>, leaf: (SystemCallDecision) -> [FilterInstruction] = code
    ) -> [FilterInstruction] {
        guard ranges.count > 1 else { return ranges.first.map { leaf($0.decision) } ?? [] }
        let middle = ranges.startIndex + ranges.count / 2
        return branch(
            .atLeast, ranges[middle].first, yes: tree(ranges[middle...], leaf: leaf),
            no: tree(ranges[..<middle], leaf: leaf))
    }

    private static func code(_ decision: SystemCallDecision) -> [FilterInstruction] {
        switch decision {
        case .allow, .refuse, .killProcess: [.answer(decision.action([]))]
        case .byValue(let argument, let values, let otherwise):
            [.load(offset: Offset.lowHalf(of: argument))]
                + choice(DecisionRange.covering(values, otherwise: otherwise), otherwise)
        case .byBits(let argument, let mask, let clear, let otherwise):
            [.load(offset: Offset.lowHalf(of: argument))]
                + branch(.anyBit, mask, yes: code(otherwise), no: code(clear))
        }
    }

    /// Between the named values lie as many ranges of others: where those take more than an answer, they share it.
    private static func choice(
        _ ranges: [DecisionRange], _ otherwise: SystemCallDecision
    ) -> [FilterInstruction] {
        let shared = code(otherwise)
        if shared.count == 1 { return tree(ranges[...]) }
        // No program has it: operations are less than 256.
        let mark = FilterInstruction(code: .max, ifTrue: 0, ifFalse: 0, operand: 0)
        var values = tree(ranges[...]) { $0 == otherwise ? [mark] : code($0) }
        for index in values.indices where values[index] == mark {
            values[index] = .jump(over: values.count - index - 1)
        }
        return values + shared
    }

    /// A comparison can skip at most 255 instructions; a jump of its own skips any number.
    private static func branch(
        _ comparison: Comparison, _ operand: UInt32, yes: [FilterInstruction], no: [FilterInstruction]
    ) -> [FilterInstruction] {
        if let skip = UInt8(exactly: no.count) {
            return [.init(code: comparison.rawValue, ifTrue: skip, ifFalse: 0, operand: operand)] + no + yes
        }
        if let skip = UInt8(exactly: yes.count) {
            return [.init(code: comparison.rawValue, ifTrue: 0, ifFalse: skip, operand: operand)] + yes + no
        }
        return [.init(code: comparison.rawValue, ifTrue: 0, ifFalse: 1, operand: operand), .jump(over: no.count)]
            + no + yes
    }
}
