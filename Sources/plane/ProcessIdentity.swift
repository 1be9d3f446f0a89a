import Glibc
import Linux

/// How long a process lives.
struct ProcessLifetime {
    static let flag = Flag("--end-with-parent", .bare, "end when the process that started it does")

    private let endsWithParent: Bool
    private let parent = getppid()

    init(_ arguments: Arguments) { endsWithParent = arguments.isGiven(Self.flag) }

    /// Comes after the last change of user, which clears it.
    func bind() throws {
        guard endsWithParent else { return }
        try CurrentProcess.setParentDeathSignal(SIGTERM)
        guard getppid() == parent else { throw CommandFailure("the process that started it has ended") }
    }
}

/// Which user a process becomes that faces the network, and how long it lives.
struct ProcessIdentity {
    static let user = Flag(
        "--user", .value("UID", default: "63180"),
        "numeric user and group it becomes when root starts it; needs no account")

    private let userID: UInt32
    private let lifetime: ProcessLifetime

    init(_ arguments: Arguments) throws(UsageError) {
        userID = UInt32(try arguments.integer(Self.user, in: 1...2_147_483_647) ?? 1)
        lifetime = ProcessLifetime(arguments)
    }

    /// Gives up root before anything is read from a network.
    func assume() throws {
        if geteuid() == 0 {
            do throws(SystemError) {
                try CurrentProcess.becomeUser(userID, group: userID)
            } catch {
                throw CommandFailure("cannot become user \(userID): \(error)")
            }
        }
        try lifetime.bind()
    }
}
