import Model
import Store

/// One page of backends, as one job of the store.
struct BackendListJob: Sendable {
    private let selection: BackendSelection
    private let drone: DroneName?
    private let cluster: ClusterName?
    private let image: ImageName?
    private let after: BackendID?
    private let limit: Int

    /// Most rows that one job looks at, so that no connect waits long behind a list that few rows fit.
    static let scannedMax = 5000
    /// Rows that are read at once.
    private static let batch = 1000

    /// A page's rows.
    struct Page: Sendable {
        var rows: [BackendRow]
        /// After what the next page begins; nil on the last. A page may have few rows, or none, and not be the last.
        var next: BackendID?
        var nowMilliseconds: Int64
    }

    init(_ query: QueryReader) throws(Failure) {
        limit = try query.limit()
        switch query.text("state") {
        case nil, "live": selection = .live
        case "all": selection = .all
        case let other?:
            throw Failure(.invalidRequest, "state: \"\(other.prefix(80))\" is neither live nor all.")
        }
        after = try query.checked("after") { (text, field) throws(InvalidValue) in try BackendID(text, field: field) }
        drone = try query.checked("drone") { (text, field) throws(InvalidValue) in try DroneName(text, field: field) }
        cluster = try query.checked("cluster") { (text, field) throws(InvalidValue) in
            try ClusterName(text, field: field)
        }
        image = try query.checked("image") { (text, field) throws(InvalidValue) in try ImageName(text, field: field) }
    }

    func run(_ store: any StoreTransaction, scannedMax: Int = Self.scannedMax) throws(StoreError) -> Page {
        let isFiltered = drone != nil || cluster != nil || image != nil
        let batch = isFiltered ? Self.batch : limit
        var page = Page(rows: [], next: after, nowMilliseconds: store.nowMilliseconds)
        var scanned = 0
        repeat {
            let rows = try store.backends(selection, after: page.next, limit: batch)
            for row in rows {
                page.next = row.id
                guard fits(row) else { continue }
                page.rows.append(row)
                if page.rows.count == limit { return page }
            }
            if rows.count < batch {
                page.next = nil
                return page
            }
            scanned += rows.count
        } while scanned < scannedMax
        return page
    }

    private func fits(_ row: BackendRow) -> Bool {
        (drone == nil || row.spec.drone == drone) && (cluster == nil || row.spec.cluster == cluster)
            && (image == nil || row.spec.executable.image == image)
    }
}
