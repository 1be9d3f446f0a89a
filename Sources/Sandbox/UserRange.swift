import Glibc
import Linux

/// 65,536 user ids of the host that belong to one sandbox while it lives. user_namespaces(7).
public struct UserRange: Hashable, Sendable {
    /// The host's id of the sandbox's uid 0.
    public let first: UInt32

    /// Ids in a range.
    public static let count: UInt32 = 65_536

    /// pid 1's id inside: another than the command's, so that the command can neither signal nor trace it.
    public static let initUserInside: UInt32 = 65_534

    /// The line for uid_map and gid_map: inside, outside, count.
    var map: String { "0 \(first) \(Self.count)\n" }
}

/// The ranges that this warden may hand out: one block of 256, held by a file lock, so that wardens side by side on one
/// machine never give two sandboxes the same ids.
struct UserRangeBlock: ~Copyable {
    private let lock: Descriptor
    private let first: UInt32
    private var free: [UInt8]

    /// First id of the first block: within 0x80000–0x6fffffff, which the systemd project's uid table sets aside for
    /// containers, above what adduser and subuid give out.
    private static let base: UInt32 = 0x1000_0000
    private static let rangesPerBlock = 256
    private static let blocks = 24

    /// Takes the first block that no other warden holds. - Parameter lockFolder: shared by all wardens of the machine.
    init(lockFolder: String) throws(SystemError) {
        try File.makeDirectories(lockFolder, mode: 0o755)
        for block in 0..<Self.blocks {
            guard let lock = try File.lock("\(lockFolder)/user-range-\(block).lock") else { continue }
            self.lock = lock
            first = Self.base + UInt32(block * Self.rangesPerBlock) * UserRange.count
            free = (0..<Self.rangesPerBlock).reversed().map { UInt8($0) }
            return
        }
        throw SystemError(EBUSY, "all \(Self.blocks) blocks of user ids are held by other wardens (\(lockFolder))")
    }

    /// A range that no sandbox has; nil when all 256 are taken.
    mutating func take() -> UserRange? {
        guard let index = free.popLast() else { return nil }
        return UserRange(first: first + UInt32(index) * UserRange.count)
    }

    /// Gives a range back once nothing of its sandbox is left.
    mutating func giveBack(_ range: UserRange) { free.append(UInt8((range.first - first) / UserRange.count)) }
}
