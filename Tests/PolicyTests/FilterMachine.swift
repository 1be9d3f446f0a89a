@testable import Policy

/// Runs classic BPF as the kernel does for seccomp: 32-bit words of `struct seccomp_data`, the operations that filters
/// use. Documentation/networking/filter.rst.
struct FilterMachine {
    let instructions: [FilterInstruction]

    init(_ instructions: [FilterInstruction]) { self.instructions = instructions }

    /// From `struct sock_filter` records.
    init(records: [UInt8]) {
        instructions = stride(from: 0, to: records.count, by: 8).map { (start: Int) -> FilterInstruction in
            let record = Array(records[start..<start + 8])
            let code = UInt16(record[0]) | UInt16(record[1]) << 8
            let operand = record[4...].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return FilterInstruction(code: code, ifTrue: record[2], ifFalse: record[3], operand: operand)
        }
    }

    enum Defect: Error { case unknownOperation(UInt16), ranOff, badOffset(UInt32) }

    /// The action that the filter answers.
    func run(number: UInt32, arguments: [UInt64] = [0, 0, 0, 0, 0, 0], architecture: UInt32) throws -> UInt32 {
        var accumulator: UInt32 = 0
        var index = 0
        while instructions.indices.contains(index) {
            let instruction = instructions[index]
            let operand = instruction.operand
            index += 1
            let holds: Bool
            switch instruction.code {
            case 0x20:
                accumulator = try word(at: operand, number, arguments, architecture)
                continue
            case 0x54:
                accumulator &= operand
                continue
            case 0x05:
                index += Int(operand)
                continue
            case 0x06: return operand
            case 0x15: holds = accumulator == operand
            case 0x25: holds = accumulator > operand
            case 0x35: holds = accumulator >= operand
            case 0x45: holds = accumulator & operand != 0
            default: throw Defect.unknownOperation(instruction.code)
            }
            index += Int(holds ? instruction.ifTrue : instruction.ifFalse)
        }
        throw Defect.ranOff
    }

    private func word(
        at offset: UInt32, _ number: UInt32, _ arguments: [UInt64], _ architecture: UInt32
    ) throws -> UInt32 {
        switch offset {
        case 0: return number
        case 4: return architecture
        case 16..<64 where offset % 4 == 0:
            let argument = arguments[Int(offset - 16) / 8]
            return UInt32(truncatingIfNeeded: offset % 8 == 0 ? argument : argument >> 32)
        default: throw Defect.badOffset(offset)
        }
    }
}

/// SECCOMP_RET_… of linux/seccomp.h.
enum Action {
    static let allow: UInt32 = 0x7fff_0000
    static let kill: UInt32 = 0x8000_0000
    static func refuse(_ code: Int32) -> UInt32 { 0x0005_0000 | UInt32(code) }
}
