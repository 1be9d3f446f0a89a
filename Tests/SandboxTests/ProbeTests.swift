import Glibc
import Linux
import Sandbox
import TestPrograms
import Testing

/// The checklist of threats, tried by a real probe in real sandboxes: with all layers nothing gets through, and without
/// the layers that stop a probe it does.
@Suite(.serialized, .enabled(if: geteuid() == 0 && ProbeImage.canBeBuilt, "needs root and gcc"))
struct ProbeTests {
    @Test("With all layers, no probe gets through")
    func allLayers() throws {
        let image = try ProbeImage()
        let findings = try image.findings(without: [])
        #expect(findings.open.isEmpty, "\(findings.open.map { "\($0): \(findings.detail($0))" })")
        for name in image.names { #expect(findings.verdict(name) != nil, "\(name): \(findings.detail(name))") }
    }

    @Test("Each probe gets through when what stops it is left out")
    func eachLayer() throws {
        let image = try ProbeImage()
        for proof in ProbeProof.all {
            let findings = try image.findings(without: proof.without.union(proof.besides))
            guard findings.status == .exited(code: 0) else {
                Issue.record("without \(proof.testDescription): \(findings.errors.suffix(300))")
                continue
            }
            expectOpen(proof.opens, findings, "without \(proof.testDescription)")
        }
    }

    @Test("The kernel refuses a sandbox without the layers that it needs itself")
    func indispensableLayers() throws {
        let image = try ProbeImage()
        for (layer, refusal) in ProbeProof.indispensable {
            let findings = try image.findings(without: [layer])
            #expect(findings.status == .exited(code: 1), "\(layer)")
            #expect(findings.errors.contains(refusal), "\(layer): \(findings.errors.suffix(300))")
        }
    }

    @Test("What only a sandbox as a whole stops gets through on the host, and on a root that is shared with it")
    func host() throws {
        let image = try ProbeImage()
        let there = ProbeProof.openWhereThere.filter { File.status($0.value) != nil }.keys
        let names = ProbeProof.openOnHost + there
        expectOpen(names, try image.findingsOnHost(probes: names), "on the host")
        let shared = ProbeProof.openInSharedRoot
        expectOpen(shared, try image.findingsInSharedRoot(probes: shared), "in a shared root")
    }

    private func expectOpen(_ probes: [String], _ findings: ProbeFindings, _ place: String) {
        for probe in probes {
            #expect(findings.verdict(probe) == .open, "\(probe) \(place): \(findings.detail(probe))")
        }
    }

    @Test("Every probe is proved to be able to get through, or says why not")
    func everyProbeIsProved() throws {
        let image = try ProbeImage()
        let proved = Set(
            ProbeProof.all.flatMap(\.opens) + ProbeProof.openOnHost + ProbeProof.openWhereThere.keys
                + ProbeProof.openInSharedRoot + ProbeProof.openInGuest + ProbeProof.unproven.keys)
        #expect(image.names.filter { !proved.contains($0) } == [])
        #expect(proved.subtracting(image.names).subtracting(["host-terminal"]) == [])
    }

    @Test("Every layer is proved to stop something, or the kernel needs it, or another test proves it")
    func everyLayerIsProved() {
        let proved = Set(ProbeProof.all.flatMap(\.without) + ProbeProof.indispensable.map(\.layer))
        #expect(Set(SandboxLayer.allCases).subtracting(proved) == ProbeProof.provedElsewhere)
    }
}
