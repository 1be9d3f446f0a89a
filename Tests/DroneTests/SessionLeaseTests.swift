import Linux
import Model
import Testing

@testable import Drone

private func at(_ milliseconds: UInt64) -> BootInstant { BootInstant(nanoseconds: milliseconds * 1_000_000) }

/// 10 s, 40 s, 50 s, 60 s.
private let standard = LeaseTimes.standard

@Suite("Session lease")
struct SessionLeaseTests {
    @Test("Nothing may be spawned before the first welcome")
    func nothingBeforeWelcome() {
        var lease = SessionLease()
        #expect(lease.standing(now: at(0)) == .never)
        lease.helloSent(now: at(0))
        #expect(lease.spawnDeadline(now: at(1)) == nil)
        lease.disconnected()
        #expect(lease.tick(now: at(1_000_000)) == [])
        #expect(lease.nextWake == nil)
    }

    @Test("Deadlines count from the hello's sending, not from the welcome's arrival")
    func helloCountsFromSending() {
        var lease = SessionLease()
        lease.helloSent(now: at(1_000))
        #expect(lease.welcomed(standard, now: at(6_000)) == [.extendBackends(until: at(51_000))])
        #expect(lease.spawnDeadline(now: at(6_000)) == at(51_000))
        #expect(lease.standing(now: at(40_999)) == .held)
        #expect(lease.standing(now: at(41_000)) == .soft)
        #expect(lease.standing(now: at(50_799)) == .soft)
        // The fence stands a little before the warden's deadline.
        #expect(lease.standing(now: at(50_800)) == .hard)
    }

    @Test("What is not answered is tried several times, on other connections too, before backends are asked to end")
    func unansweredIsRepeated() {
        var lease = SessionLease()
        lease.helloSent(now: at(0))
        _ = lease.welcomed(standard, now: at(5))
        #expect(lease.tick(now: at(9_999)) == [])
        #expect(lease.nextWake == at(10_000))
        #expect(lease.tick(now: at(10_000)) == [.sendRenewal(sequence: 1)])
        #expect(lease.tick(now: at(20_000)) == [.sendRenewal(sequence: 2)])
        #expect(lease.tick(now: at(23_334)) == [.reconnect])
        // A controller that takes the connection and says nothing.
        lease.helloSent(now: at(24_000))
        #expect(lease.tick(now: at(37_000)) == [])
        #expect(lease.tick(now: at(37_334)) == [.reconnect])
        lease.helloSent(now: at(38_000))
        #expect(lease.tick(now: at(40_000)) == [.softExpired])
        #expect(lease.nextWake == at(49_800))
        #expect(lease.tick(now: at(49_800)) == [.hardExpired])
        #expect(lease.tick(now: at(50_000)) == [])
        #expect(lease.tick(now: at(51_334)) == [.reconnect])
    }

    @Test("With short times there is an attempt on another connection, too, before backends are asked to end")
    func shortTimes() throws {
        var lease = SessionLease()
        lease.helloSent(now: at(0))
        _ = lease.welcomed(try LeaseTimes(renew: 200, soft: 1_000, hard: 1_500, expiry: 2_000), now: at(5))
        #expect(lease.tick(now: at(200)) == [.sendRenewal(sequence: 1)])
        #expect(lease.tick(now: at(400)) == [.sendRenewal(sequence: 2)])
        #expect(lease.tick(now: at(534)) == [.reconnect])
    }

    @Test("An answer that a paused drone finds past the fence does not undo what proxy and warden have done")
    func answerBehindFence() {
        var lease = SessionLease()
        lease.helloSent(now: at(0))
        _ = lease.welcomed(standard, now: at(5))
        _ = lease.tick(now: at(10_000))
        #expect(lease.renewed(sequence: 1, now: at(49_900)) == [.hardExpired, .extendBackends(until: at(60_000))])
    }

    @Test("A late answer extends from its own sending; duplicates and older ones change nothing")
    func lateDuplicateReordered() {
        var lease = SessionLease()
        lease.helloSent(now: at(0))
        _ = lease.welcomed(standard, now: at(5))
        _ = lease.tick(now: at(10_000))
        _ = lease.tick(now: at(20_000))
        #expect(lease.renewed(sequence: 2, now: at(29_000)) == [.extendBackends(until: at(70_000))])
        #expect(lease.renewed(sequence: 2, now: at(29_001)) == [])
        #expect(lease.renewed(sequence: 1, now: at(29_002)) == [])
        #expect(lease.renewed(sequence: 99, now: at(29_003)) == [])
        #expect(lease.spawnDeadline(now: at(29_003)) == at(70_000))
    }

    @Test("Answers of a lost connection do not count on the next one")
    func answersDieWithTheirConnection() {
        var lease = SessionLease()
        lease.helloSent(now: at(0))
        _ = lease.welcomed(standard, now: at(5))
        _ = lease.tick(now: at(10_000))
        lease.disconnected()
        #expect(lease.renewed(sequence: 1, now: at(10_500)) == [])
        #expect(lease.nextWake == at(40_000))
        #expect(lease.welcomed(standard, now: at(10_600)) == [])
        lease.helloSent(now: at(11_000))
        #expect(lease.welcomed(standard, now: at(11_100)) == [.extendBackends(until: at(61_000))])
    }

    @Test("A pause past both deadlines kills at once, and a new welcome begins a new lease")
    func pauseThenNewLease() {
        var lease = SessionLease()
        lease.helloSent(now: at(0))
        _ = lease.welcomed(standard, now: at(5))
        lease.disconnected()
        #expect(lease.tick(now: at(90_000)) == [.hardExpired])
        #expect(lease.tick(now: at(91_000)) == [])
        lease.helloSent(now: at(91_000))
        #expect(lease.welcomed(standard, now: at(91_010)) == [.extendBackends(until: at(141_000))])
        #expect(lease.standing(now: at(91_010)) == .held)
        #expect(lease.tick(now: at(131_000)) == [.softExpired, .sendRenewal(sequence: 1)])
    }

    @Test("A welcome that is older than its own deadlines gives no lease")
    func staleWelcome() {
        var lease = SessionLease()
        lease.helloSent(now: at(0))
        #expect(lease.welcomed(standard, now: at(60_000)) == [.hardExpired])
        #expect(lease.spawnDeadline(now: at(60_000)) == nil)
    }

    @Test("Shorter times of a new controller never take back what was promised")
    func deadlinesOnlyMoveForward() throws {
        var lease = SessionLease()
        lease.helloSent(now: at(0))
        _ = lease.welcomed(standard, now: at(5))
        lease.helloSent(now: at(1_000))
        let short = try LeaseTimes(renew: 1_000, soft: 3_000, hard: 4_000, expiry: 6_000)
        #expect(lease.welcomed(short, now: at(1_100)) == [])
        #expect(lease.spawnDeadline(now: at(1_200)) == at(50_000))
    }

    @Test("Under any order of loss, delay and reconnects the promises hold", arguments: 0..<8)
    func randomSchedules(batch: Int) throws {
        for seed in batch * 50..<(batch + 1) * 50 { try randomSchedule(seed: UInt64(seed)) }
    }

    private func randomSchedule(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var lease = SessionLease()
        let times = try LeaseTimes(renew: 1_000, soft: 4_000, hard: 5_000, expiry: 6_000)
        var now: UInt64 = 1
        var sent: [Int64: UInt64] = [:]
        var helloAt: UInt64?
        // The model: the latest sending that was acknowledged, and what was promised from it.
        var newest: UInt64?
        var promised = at(0)
        var softAnnounced = false
        for _ in 0..<400 {
            now += UInt64.random(in: 0...1_500, using: &random)
            var actions: [SessionLease.Action] = []
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                lease.disconnected()
                sent = [:]
                helloAt = nil
            case 1:
                lease.helloSent(now: at(now))
                sent = [:]
                helloAt = now
            case 2:
                actions = lease.welcomed(times, now: at(now))
                if let hello = helloAt { newest = max(newest ?? 0, hello) }
                helloAt = nil
            case 3, 4:
                let sequence = sent.keys.randomElement(using: &random) ?? 7_777
                actions = lease.renewed(sequence: sequence, now: at(now))
                if let moment = sent[sequence] { newest = max(newest ?? 0, moment) }
            default: actions = lease.tick(now: at(now))
            }
            for action in actions {
                switch action {
                case .sendRenewal(let sequence):
                    #expect(sent.updateValue(now, forKey: sequence) == nil)
                case .extendBackends(let until):
                    #expect(until > promised)
                    promised = until
                    softAnnounced = false
                case .softExpired:
                    #expect(!softAnnounced)
                    softAnnounced = true
                case .hardExpired: softAnnounced = true
                case .reconnect:
                    lease.disconnected()
                    sent = [:]
                    helloAt = nil
                }
            }
            // Never later than the newest acknowledged sending allows: this is what exclusivity rests on.
            if let newest {
                #expect(promised <= at(newest + 5_000), "seed \(seed)")
                if now >= newest + 4_000 { #expect(lease.spawnDeadline(now: at(now)) == nil) }
            } else {
                #expect(promised == at(0))
                #expect(lease.spawnDeadline(now: at(now)) == nil)
            }
            if let deadline = lease.spawnDeadline(now: at(now)) { #expect(deadline == promised) }
        }
    }
}
