import Model
import Store

/// The steps of a transaction in memory; by what they are about in the extensions.
final class MemoryTransaction: StoreTransaction {
    let database: MemoryDatabase
    var nowMilliseconds: Int64 = 0

    init(_ database: MemoryDatabase) { self.database = database }

    /// Takes the next revision of a drone, for an order that is added in this transaction.
    func nextRevision(of drone: DroneName) -> Int64? {
        guard var row = database.drones[drone] else { return nil }
        row.revision += 1
        database.set(row, for: drone)
        return row.revision
    }

    func appendHistory(_ state: BackendState, of id: BackendID) -> HistoryRow {
        let line = HistoryRow(number: database.nextLine(), state: state, milliseconds: nowMilliseconds)
        database.append(line, to: id)
        return line
    }
}

/// Whether two texts are the same bytes, as databases compare them.
func sameBytes(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }

/// Whether a text comes first by its bytes.
func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
