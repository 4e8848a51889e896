module Courier
  # Where parcels are, by tracking number (such as `AC-1042`).
  class Tracking
    def initialize
      @events = Hash.new { |events, number| events[number] = [] }
    end

    def record(number, text)
      @events[number] << text
    end

    # The last thing that happened to a parcel; nil where the number is not known.
    def latest(number)
      @events.key?(number) ? @events[number].last : nil
    end

    def known?(number)
      @events.key?(number)
    end
  end
end
