module Courier
  # A place to visit. `opens` and `closes` are minutes since midnight; both belong to the delivery window.
  Stop = Struct.new(:name, :place, :opens, :closes, keyword_init: true) do
    def open_at?(minute)
      (opens.nil? || minute >= opens) && (closes.nil? || minute <= closes)
    end

    def window
      return "any time" if opens.nil? || closes.nil?

      format("%02d:%02d-%02d:%02d", opens / 60, opens % 60, closes / 60, closes % 60)
    end
  end
end
