package import Model

/// Rules that every store keeps, written once.
extension DesiredEnd {
    /// What is on the row when this is asked for, too. The first reason stays: it is why the backend ends. Only the kind
    /// may become stronger.
    package func merged(into earlier: DesiredEnd?) -> DesiredEnd {
        guard var merged = earlier else { return self }
        if kind == .hard { merged.kind = .hard }
        return merged
    }
}

extension ResourceAmount {
    /// What a column of 64 bits with a sign holds of it.
    package var stored: ResourceAmount { self + .zero }
}
