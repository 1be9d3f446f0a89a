import Model
import Store
import Testing

/// Where a store lies, so that a check can open it, leave it and open it again.
///
/// **To add a store**: make a type that conforms, with a fresh and empty place for each value of it, and one test with
/// `arguments: StoreConformance.checks` that runs each of them on a value of its own.
protocol StoreSite: AnyObject {
    /// Opens the store. Where `isShared` is true, several may be open at a time; else the one before is gone by then.
    func open() throws -> any Store
    /// Whether several may use it at a time.
    var isShared: Bool { get }
}

/// What every store must keep, whatever lies behind the protocol.
enum StoreConformance {
    /// One promise, by name. It gets a place of its own, which is empty.
    struct Check: Sendable, CustomTestStringConvertible {
        let name: String
        let run: @Sendable (any StoreSite) throws -> Void
        var testDescription: String { name }

        /// A check that opens the store by itself.
        init(_ name: String, at run: @escaping @Sendable (any StoreSite) throws -> Void) {
            self.name = name
            self.run = run
        }

        /// A check that needs one store, open.
        init(_ name: String, _ run: @escaping @Sendable (any Store) throws -> Void) {
            self.name = name
            self.run = { try run(try $0.open()) }
        }
    }

    /// All of them.
    static let checks: [Check] =
        KeyChecks.all + BackendChecks.all + OrderChecks.all + TokenChecks.all + SessionChecks.all + DroneChecks.all
        + CleaningChecks.all + TransactionChecks.all
}
